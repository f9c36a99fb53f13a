import Foundation
import SystemPackage

/// The system calls of processes that run, as strace(1) sees them: with what each descriptor leads to.
final class SystemCallTrace {
    struct Call {
        let thread: Int
        let name: String
        /// As strace writes them: `9</mnt/ext4-1>, FIFREEZE, …`.
        let arguments: Substring

        /// What the first argument leads to, if it is a descriptor.
        var target: Substring? {
            let number = arguments.prefix { $0.isNumber }
            guard !number.isEmpty, arguments.dropFirst(number.count).first == "<" else { return nil }
            return arguments.dropFirst(number.count + 1)
        }
    }

    private let output: FilePath
    private let strace: RunningProgram

    /// Follows the processes, and every thread and process that they start. On a tmpfs: what is traced may freeze the rest.
    init(_ processes: [pid_t]) throws {
        output = FilePath("/tmp/trace-\(processes[0])")
        strace = try RunningProgram(
            "strace",
            ["-f", "-yy", "-s", "0", "-o", output.string] + processes.flatMap { ["-p", "\($0)"] })
        try strace.closeInput()
        for process in processes {
            // The last thread it finds is the last it attaches to.
            try strace.waitForLine { $0.hasPrefix("strace: Process \(process) attached") }
        }
    }

    /// Detaches, and gives all lines so far.
    func stop() throws -> [Call?] {
        strace.send(SIGINT)
        _ = try strace.waitForExit()
        defer { unlink(output.string) }
        // What programs write is cut to nothing; what is left are names of files, which may be any bytes.
        let text = String(decoding: try Data(contentsOf: URL(fileURLWithPath: output.string)), as: UTF8.self)
        return text.split(separator: "\n").map(Self.call)
    }

    /// `1234  write(3<pipe:[5]>, ""..., 8) = 8`, whole or as far as it had come when another thread was next. Nil for
    /// the end of such a call, for signals and for exits.
    private static func call(_ line: Substring) -> Call? {
        let thread = line.prefix { $0.isNumber }
        let rest = line.dropFirst(thread.count).drop { $0 == " " }
        guard let number = Int(thread), let parenthesis = rest.firstIndex(of: "("),
            rest[..<parenthesis].allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" })
        else { return nil }
        return Call(
            thread: number, name: String(rest[..<parenthesis]), arguments: rest[rest.index(after: parenthesis)...])
    }
}

extension [SystemCallTrace.Call?] {
    /// From the first FIFREEZE to the last FITHAW, as far as its thread's next line.
    var window: [SystemCallTrace.Call]? {
        guard let first = firstIndex(where: { $0?.isIoctl("FIFREEZE") == true }),
            let last = lastIndex(where: { $0?.isIoctl("FITHAW") == true }), first < last
        else { return nil }
        return self[first...last].compactMap(\.self)
    }
}

extension SystemCallTrace.Call {
    func isIoctl(_ request: String) -> Bool { name == "ioctl" && arguments.contains(" \(request)") }
}
