import FreezeCore
import LinuxSystem
import SystemPackage

/// A reason for an unpublished state, or a defect of the pool. Each is one line in the log.
enum PoolProblem: Error, Hashable {
    /// The file does not exist.
    case missing
    case untrusted(TrustError)
    case notRegular
    case failed(Errno)
    /// The file was not read.
    case tooLarge
    /// Another program held a lock for as long as quiesce waits.
    case locked
    /// A request began.
    case cancelled

    // In a file that was read:

    case full(records: Int)
    /// Part of another program's record is at the end.
    case incomplete(bytes: Int)
    case repeated(key: String, count: Int)
    /// Records without a zero byte, counted from 0.
    case endless(record: Int, count: Int)
    case notText(record: Int, count: Int)

    /// Whether the new state is not published.
    var isFailure: Bool {
        switch self {
        case .repeated, .endless, .notText: false
        default: true
        }
    }

    /// The same for every occurrence, so that each kind of problem is logged once.
    var kind: String {
        switch self {
        case .missing: "missing"
        case .untrusted: "untrusted"
        case .notRegular: "notRegular"
        case .failed(let error): "failed \(error.rawValue)"
        case .tooLarge: "tooLarge"
        case .locked: "locked"
        case .cancelled: "cancelled"
        case .full: "full"
        case .incomplete: "incomplete"
        case .repeated: "repeated"
        case .endless: "endless"
        case .notText: "notText"
        }
    }
}

/// A problem with the pool of a path.
struct PoolError: ActionableError {
    let path: FilePath
    let cause: PoolProblem

    var subject: String { path.escaped }

    var problem: String {
        switch cause {
        case .missing: return "the state is not published: there is no such pool"
        case .untrusted(let error): return "the state is not published: \(error.problem)"
        case .notRegular: return "the state is not published: the pool is no regular file"
        case .failed(let error): return "the state is not published: \(error)"
        case .tooLarge:
            return "the state is not published: the pool is larger than \(PoolFile.readLimit) bytes"
        case .locked: return "the state is not published: another program keeps the pool locked"
        case .cancelled: return "the state is not published: a request began"
        case .full(let records): return "the state is not published: the pool is full with \(records) records"
        case .incomplete(let bytes):
            return "the state is not published: the pool ends with \(bytes) bytes of a record"
        case .repeated(let key, let count): return "\(count) records have the key \(key), and all are updated"
        case .endless(let record, let count):
            return
                "\(Self.records(record, count)) without a zero byte: hv_kvp_daemon crashes when the host reads it"
        case .notText(let record, let count):
            return "\(Self.records(record, count)) without valid UTF-8: a host may not read the records after it"
        }
    }

    private static func records(_ first: Int, _ count: Int) -> String {
        count == 1 ? "record \(first) is" : "record \(first) and \(count - 1) more are"
    }

    var remedy: String? {
        switch cause {
        case .missing: "Enable Data Exchange on the host, and start hv-kvp-daemon.service."
        case .untrusted(let error): error.remedy
        case .notRegular: "Remove the file, and restart hv-kvp-daemon.service."
        case .failed, .cancelled: nil
        case .tooLarge, .full:
            "Stop hv-kvp-daemon.service, truncate the file, and start the service again."
        case .locked: "Find the program with `fuser`, and end the program."
        case .incomplete:
            "A program ended in the middle of a write. Cut the file to a multiple of \(PoolRecords.size) bytes."
        case .repeated: nil
        case .endless, .notText: "Stop hv-kvp-daemon.service, truncate the file, and start the service again."
        }
    }
}
