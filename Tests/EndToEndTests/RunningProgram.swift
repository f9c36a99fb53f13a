import Foundation
import SystemPackage

/// A program that a test started: its output as it comes, with a deadline on every wait.
///
/// Nothing here waits without one, since a program under test can hang in the kernel, deaf even to SIGKILL.
/// Killed with its process group when the last reference goes.
///
/// For one test at a time: only what the reading threads touch as well, `text` and `openStreams`, is locked.
final class RunningProgram: @unchecked Sendable {
    enum Stream { case output, errors }

    /// How it ended.
    enum Ending: Equatable, Sendable {
        case exited(CInt)
        case killed(signal: CInt)
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let processIdentifier: pid_t
    let name: String
    private static let spawning = NSLock()
    private let condition = NSCondition()
    private var text: [Stream: Data] = [.output: Data(), .errors: Data()]
    private var openStreams = 2
    private var ending: Ending?
    private var input: FileDescriptor?

    /// - Parameters:
    ///   - environment: replaces the inherited one.
    ///   - passed: A descriptor for the program, as number 3.
    init(
        _ path: FilePath, _ arguments: [String] = [], environment: [String: String]? = nil,
        passing passed: FileDescriptor? = nil
    ) throws {
        name = ([path.string] + arguments).joined(separator: " ")
        // A pipe's end that another child inherits by accident keeps the pipe from ending.
        Self.spawning.lock()
        defer { Self.spawning.unlock() }
        let (input, output, errors) = (try Self.pipe(), try Self.pipe(), try Self.pipe())
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        for (number, end) in [input.readEnd, output.writeEnd, errors.writeEnd].enumerated() {
            posix_spawn_file_actions_adddup2(&actions, end.rawValue, CInt(number))
        }
        if let passed { posix_spawn_file_actions_adddup2(&actions, passed.rawValue, 3) }
        var noSignals = sigset_t()
        var allSignals = sigset_t()
        sigemptyset(&noSignals)
        sigfillset(&allSignals)
        posix_spawnattr_setsigmask(&attributes, &noSignals)
        posix_spawnattr_setsigdefault(&attributes, &allSignals)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var argumentPointers = ([path.string] + arguments).map { strdup($0) } + [nil]
        let inherited = ProcessInfo.processInfo.environment
        var environmentPointers = (environment ?? inherited).map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (argumentPointers + environmentPointers).forEach { free($0) } }
        var process = pid_t()
        let error = posix_spawnp(
            &process, path.string, &actions, &attributes, &argumentPointers, &environmentPointers)
        for end in [input.readEnd, output.writeEnd, errors.writeEnd] { try end.close() }
        processIdentifier = process
        self.input = input.writeEnd
        guard error == 0 else {
            for end in [output.readEnd, errors.readEnd] { try end.close() }
            throw Failure(description: "\(name): \(Errno(rawValue: error))")
        }
        read(.output, from: output.readEnd)
        read(.errors, from: errors.readEnd)
    }

    deinit {
        if ending == nil { kill(-processIdentifier, SIGKILL) }
        try? input?.close()
        var status: CInt = 0
        if ending == nil { waitpid(processIdentifier, &status, WNOHANG) }
    }

    /// What it has written so far.
    func text(of stream: Stream) -> String {
        condition.lock()
        defer { condition.unlock() }
        return String(decoding: text[stream] ?? Data(), as: UTF8.self)
    }

    /// The first line, written already or to come, that meets the condition.
    @discardableResult
    func waitForLine(
        in stream: Stream = .errors, within limit: Duration = .seconds(10), where matches: (String) -> Bool
    ) throws -> String {
        let deadline = ContinuousClock.now + limit
        while true {
            condition.lock()
            let written = String(decoding: text[stream] ?? Data(), as: UTF8.self)
            let isOver = openStreams == 0 || ContinuousClock.now >= deadline
            // The last piece is a line only once its newline is there.
            let lines = written.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            if let line = lines.first(where: { matches(String($0)) }) {
                condition.unlock()
                return String(line)
            }
            if isOver {
                condition.unlock()
                throw Failure(description: "\(name): no such line within \(limit) in: \(written)")
            }
            _ = condition.wait(until: Date(timeIntervalSinceNow: 0.1))
            condition.unlock()
        }
    }

    /// Sends the signal to the program alone, not to its children.
    func send(_ signal: CInt) { kill(processIdentifier, signal) }

    /// Writes to its standard input.
    func write(_ string: String) throws { _ = try input?.writeAll(string.utf8) }

    /// Ends its standard input.
    func closeInput() throws {
        try input?.close()
        input = nil
    }

    var isRunning: Bool { (try? waitForExit(within: .zero)) == nil }

    /// - Throws: `Failure` when it still runs at the deadline; it goes on running then.
    @discardableResult
    func waitForExit(within limit: Duration = .seconds(10)) throws -> Ending {
        let deadline = ContinuousClock.now + limit
        while true {
            if let ending { return ending }
            var status: CInt = 0
            if waitpid(processIdentifier, &status, WNOHANG) == processIdentifier {
                let signal = status & 0x7F
                let result: Ending = signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal: signal)
                ending = result
                waitForOutputToEnd()
                return result
            }
            guard ContinuousClock.now < deadline else {
                throw Failure(description: "\(name): still running after \(limit); errors: \(text(of: .errors))")
            }
            // Woken by output, of which an exiting program's end-of-file is the last.
            condition.lock()
            _ = condition.wait(until: Date(timeIntervalSinceNow: 0.01))
            condition.unlock()
        }
    }

    /// Runs a program to its end.
    static func run(
        _ path: FilePath, _ arguments: [String] = [], environment: [String: String]? = nil,
        within limit: Duration = .seconds(20)
    ) throws -> (ending: Ending, output: String, errors: String) {
        let program = try RunningProgram(path, arguments, environment: environment)
        try program.closeInput()
        let ending = try program.waitForExit(within: limit)
        return (ending, program.text(of: .output), program.text(of: .errors))
    }

    /// Runs a program that must succeed; its output, without the newline at the end.
    @discardableResult
    static func output(
        of path: FilePath, _ arguments: [String] = [], within limit: Duration = .seconds(20)
    ) throws -> String {
        let (ending, output, errors) = try run(path, arguments, within: limit)
        guard ending == .exited(0) else {
            throw Failure(description: "\(path) \(arguments.joined(separator: " ")): \(ending): \(errors)")
        }
        return output.hasSuffix("\n") ? String(output.dropLast()) : output
    }

    /// What the program wrote just before its end may still be in the pipe. A grandchild can hold the pipe open.
    private func waitForOutputToEnd() {
        let deadline = Date(timeIntervalSinceNow: 1)
        condition.lock()
        defer { condition.unlock() }
        while openStreams > 0, condition.wait(until: deadline) {}
    }

    private func read(_ stream: Stream, from descriptor: FileDescriptor) {
        // Weak: the thread lives until the last holder of the pipe's other end does.
        Thread.detachNewThread { [weak self] in
            withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
                while let count = try? descriptor.read(into: buffer), count > 0 {
                    self?.append(Data(buffer[..<count]), to: stream)
                }
            }
            self?.close(stream)
            try? descriptor.close()
        }
    }

    private func append(_ data: Data, to stream: Stream) {
        condition.lock()
        text[stream]?.append(data)
        condition.broadcast()
        condition.unlock()
    }

    private func close(_ stream: Stream) {
        condition.lock()
        openStreams -= 1
        condition.broadcast()
        condition.unlock()
    }

    /// Both ends close themselves on exec: with `spawning` held, no child gets what is not its own.
    private static func pipe() throws -> (readEnd: FileDescriptor, writeEnd: FileDescriptor) {
        let ends = try FileDescriptor.pipe()
        for end in [ends.readEnd, ends.writeEnd] {
            guard fcntl(end.rawValue, F_SETFD, FD_CLOEXEC) == 0 else { throw Errno(rawValue: errno) }
        }
        return ends
    }
}
