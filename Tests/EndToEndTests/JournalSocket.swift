import Foundation
import LinuxCalls
import SystemPackage

/// Stands in for systemd-journald in the scratch world: takes records in the journal's native protocol
/// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL).
final class JournalSocket {
    private static let path = "/run/systemd/journal/socket"
    private let descriptor: FileDescriptor
    private(set) var records: [Record] = []

    /// The fields of a record, by name. A name can be there more than once.
    struct Record {
        var fields: [String: [String]] = [:]

        subscript(name: String) -> String? { fields[name]?.first }
    }

    init() throws {
        try ScratchWorld.require()
        try RunningProgram.output(of: "mkdir", ["-p", "/run/systemd/journal"])
        descriptor = try bindDatagramSocket(at: Self.path)
    }

    deinit {
        try? descriptor.close()
        unlink(Self.path)
    }

    /// The first record, received already or to come, whose message meets the condition.
    func waitForRecord(
        within limit: Duration = .seconds(10), where matches: (String) -> Bool
    ) throws -> Record {
        let deadline = ContinuousClock.now + limit
        while true {
            if let record = records.first(where: { $0["MESSAGE"].map(matches) ?? false }) { return record }
            let rest = deadline - ContinuousClock.now
            guard rest > .zero, !pollOne(descriptor, events: .readable, atMost: rest).isEmpty else {
                throw DaemonRig.Failure(description: "no such record within \(limit) in \(records)")
            }
            records.append(try Record(datagram: readOnce(descriptor, atMost: 1 << 16)))
        }
    }
}

extension JournalSocket.Record {
    /// `NAME=value\n` each; or, where the value has a newline, `NAME\n`, its length in 64 little-endian bits, the value
    /// and `\n`.
    init(datagram: [UInt8]) throws {
        var rest = datagram[...]
        while let end = rest.firstIndex(where: { $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: "\n") }) {
            let name = String(decoding: rest[..<end], as: UTF8.self)
            let isPlain = rest[end] == UInt8(ascii: "=")
            rest = rest[(end + 1)...]
            let length: Int
            if isPlain {
                length = (rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex) - rest.startIndex
            } else {
                length = rest.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
                rest = rest.dropFirst(8)
            }
            guard length < rest.count else { throw Errno.badMessage }
            fields[name, default: []].append(String(decoding: rest.prefix(length), as: UTF8.self))
            rest = rest.dropFirst(length + 1)
        }
    }
}
