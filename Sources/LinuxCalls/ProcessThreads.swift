import Glibc
import SystemPackage

/// The threads of a process, as /proc shows them.
enum ProcessThreads {
    /// Whether every thread has ended, is ending, or has SIGKILL pending, and so never returns to the program.
    /// False if unknown.
    static func areKilled(in process: pid_t) -> Bool {
        let directory = FilePath("/proc/\(process)/task")
        guard let threads = try? directoryEntries(directory) else { return false }
        return threads.allSatisfy { thread in
            do throws(Errno) {
                let thread = directory.appending(thread)
                let record = ProcessRecord(parsing: try readWholeFile(thread.appending("stat")))
                // A thread that ends has SIGKILL pending no more (kernel/signal.c: get_signal).
                if let record, !record.isAlive || record.isExiting { return true }
                return isKilled(status: try readWholeFile(thread.appending("status")))
            } catch {
                // ENOENT, ESRCH: the thread has ended meanwhile.
                return error == .noSuchFileOrDirectory || error == .noSuchProcess
            }
        }
    }

    /// - Parameter status: The contents of `/proc/PID/task/TID/status` (proc_pid_status(5)). The kernel marks SIGKILL as
    ///   pending for each thread (kernel/signal.c: complete_signal).
    static func isKilled(status: [UInt8]) -> Bool {
        var isOver = false
        var isKillPending = false
        for line in status.split(separator: UInt8(ascii: "\n")) {
            let fields = String(decoding: line, as: UTF8.self).split(whereSeparator: \.isWhitespace)
            guard fields.count > 1 else { continue }
            switch fields[0] {
            case "State:": isOver = fields[1] == "Z" || fields[1] == "X"
            case "SigPnd:": isKillPending = (UInt64(fields[1], radix: 16) ?? 0) & 1 << UInt64(SIGKILL - 1) != 0
            default: break
            }
        }
        return isOver || isKillPending
    }
}
