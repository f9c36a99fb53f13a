import Foundation
import LinuxCalls
import SystemPackage

/// What the threads of a process wait for in the kernel, from /proc (proc(5)).
enum KernelWaits {
    /// Whether a thread of it waits in FIFREEZE. `/proc/PID/task/TID/syscall` begins with the number of the system call
    /// and its arguments; for ioctl, the second is the request.
    static func isInFreeze(_ process: pid_t) throws -> Bool {
        try files("syscall", of: process).contains { $0.split(separator: " ").dropFirst(2).first == "0xc0045877" }
    }

    /// Its threads that sleep uninterruptibly, as a write to a frozen filesystem does; by name.
    static func uninterruptible(_ process: pid_t) throws -> [String] {
        try files("stat", of: process).compactMap { line in
            // 1234 (name) D …: a name may hold blanks and parentheses.
            guard let end = line.lastIndex(of: ")"), let begin = line.firstIndex(of: "(") else { return nil }
            let state = line[end...].dropFirst(2).first
            return state == "D" ? String(line[line.index(after: begin)..<end]) : nil
        }
    }

    /// Whether the process's thread with the given name pauses (clock_nanosleep(2), by number on x86-64 or ARM).
    static func isPausing(_ process: pid_t, thread name: String) throws -> Bool {
        let directory = "/proc/\(process)/task"
        return try FileManager.default.contentsOfDirectory(atPath: directory).contains { task in
            guard let comm = try? String(contentsOfFile: "\(directory)/\(task)/comm", encoding: .utf8),
                let call = try? String(contentsOfFile: "\(directory)/\(task)/syscall", encoding: .utf8)
            else { return false }
            return comm == "\(name)\n" && ["230", "115"].contains(call.split(separator: " ").first)
        }
    }

    private static func files(_ name: String, of process: pid_t) throws -> [String] {
        let directory = "/proc/\(process)/task"
        return try FileManager.default.contentsOfDirectory(atPath: directory).compactMap {
            // A thread may have ended meanwhile.
            try? String(contentsOfFile: "\(directory)/\($0)/\(name)", encoding: .utf8)
        }
    }
}

/// Makes block devices fail.
enum DeviceFailure {
    /// The file behind a loop device.
    static func image(of filesystem: ScratchFilesystem) throws -> String {
        try RunningProgram.output(
            of: "losetup", ["--noheadings", "--output", "BACK-FILE", filesystem.device.string])
    }

    /// Leaves ext4 with nothing to flush, but with a journal that FIFREEZE has to mark as empty on the device.
    static func usedJournal(of filesystem: ScratchFilesystem) throws {
        try RunningProgram.output(of: "touch", [filesystem.mountPoint.appending("used").string])
        for _ in 0..<2 { try RunningProgram.output(of: "sync", ["--file-system", filesystem.mountPoint.string]) }
    }
}
