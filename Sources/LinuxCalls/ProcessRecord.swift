import Glibc
import SystemPackage

/// What the kernel tells of a process in one line (proc_pid_stat(5)).
public struct ProcessRecord: Hashable, Sendable {
    /// A letter, as ps shows it.
    public let state: Character
    public let group: pid_t
    /// Clock ticks since boot at which it started.
    public let startTicks: UInt64
    /// Whether the process is ending. The process runs no code any more, and may still wait in the kernel for
    /// files being closed (PF_EXITING, include/linux/sched.h).
    public let isExiting: Bool

    /// Whether it still runs code: a zombie only waits to be reaped.
    public var isAlive: Bool { state != "Z" && state != "X" }

    /// - Returns: Nil if there is no such process.
    /// - Throws: Why it cannot be told whether there is: EMFILE, ENFILE, ENOMEM; ENOENT if /proc is not mounted.
    public static func read(_ processID: pid_t) throws(Errno) -> ProcessRecord? {
        guard processID > 0 else { return nil }
        do throws(Errno) {
            let bytes = try readWholeFile(FilePath("/proc/\(processID)/stat"))
            guard let record = ProcessRecord(parsing: bytes) else { throw .ioError }
            return record
        } catch .noSuchProcess {
            // It ended between the opening and the reading.
            return nil
        } catch .noSuchFileOrDirectory {
            // Without /proc there would be no file for any process.
            guard kill(processID, 0) != 0, errno == ESRCH else { throw .noSuchFileOrDirectory }
            return nil
        }
    }

    init?(parsing bytes: [UInt8]) {
        // The command's name may hold anything, also blanks and parentheses: fields are counted after the last one.
        guard let nameEnd = bytes.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = String(decoding: bytes[(nameEnd + 1)...], as: UTF8.self).split(separator: " ")
        guard fields.count > 19, let state = fields[0].first, let group = pid_t(fields[2]),
            let flags = UInt32(fields[6]), let startTicks = UInt64(fields[19])
        else { return nil }
        isExiting = flags & 0x4 != 0
        self.state = state
        self.group = group
        self.startTicks = startTicks
    }
}
