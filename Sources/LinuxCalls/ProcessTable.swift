import FreezeCore
import Glibc
import SystemPackage

/// The processes in /proc (proc(5)). A process that ends meanwhile has no name and no descriptors.
public struct ProcessTable: Sendable {
    private let proc: FilePath

    public init(_ proc: FilePath = "/proc") {
        self.proc = proc
    }

    /// In ascending order.
    ///
    /// - Throws: Why /proc cannot be listed: ENOENT, EMFILE, ENFILE, ENOMEM.
    public func processIDs() throws(Errno) -> [pid_t] {
        try directoryEntries(proc).compactMap { pid_t($0.string) }.sorted()
    }

    /// By process id; none if /proc cannot be listed.
    public var processes: [Process] { ((try? processIDs()) ?? []).map(process) }

    public func process(_ processID: pid_t) -> Process {
        Process(processID: processID, directory: proc.appending("\(processID)"))
    }

    public struct Process: Sendable, CustomStringConvertible {
        public let processID: pid_t
        public let directory: FilePath

        /// The name ps shows (proc_pid_comm(5), at most 15 bytes), escaped: any user can choose the name.
        public var name: String {
            var bytes = (try? readWholeFile(directory.appending("comm"))) ?? []
            if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
            return escapedControlCharacters(String(decoding: bytes, as: UTF8.self))
        }

        public var description: String { "\(name) (process \(processID))" }

        /// The process's descriptors that are open on the target. Reads links only, and never hangs on a dead network
        /// filesystem. Without CAP_SYS_PTRACE, processes of other users have none.
        public func descriptors(on target: FilePath) -> [FilePath.Component] {
            let links = directory.appending("fd")
            return ((try? directoryEntries(links)) ?? []).filter {
                (try? readSymbolicLink(links.appending($0))) == target
            }
        }

        /// The contents of proc_pid_fdinfo(5) for a descriptor; empty if closed.
        public func descriptorInformation(_ number: FilePath.Component) -> String {
            let file = directory.appending("fdinfo").appending(number)
            return String(decoding: (try? readWholeFile(file, limit: 16 << 20)) ?? [], as: UTF8.self)
        }
    }
}

/// The contents of `/proc/PID/status` (proc_pid_status(5)).
public struct ProcessStatusFile: Sendable {
    private let text: String

    public init(_ text: String) {
        self.text = text
    }

    /// Empty if there is no such process.
    public init(of directory: FilePath) {
        self.init(String(decoding: (try? readWholeFile(directory.appending("status"))) ?? [], as: UTF8.self))
    }

    /// The words of a field; none if the kernel does not show the field.
    public subscript(field: String) -> [Substring] {
        let line = text.split(separator: "\n").first { $0.hasPrefix("\(field):") }
        return line.map { Array($0.split(whereSeparator: \.isWhitespace).dropFirst()) } ?? []
    }

    /// A set of bits, such as signals or capabilities.
    public func mask(_ field: String) -> UInt64? {
        self[field].first.flatMap { UInt64($0, radix: 16) }
    }
}
