import ArgumentParser
import FreezeCore
import Glibc
import LinuxCalls
import Synchronization
import SystemPackage

/// The command that runs while everything is frozen, with quiescectl's own input and output.
struct ChildCommand {
    /// How it ended.
    struct Outcome {
        let status: ExitCode
        /// Why it was not run. Not to be told in the window: standard error may be a file that is frozen.
        var problem: String?
        /// Whether a signal asked quiescectl, or the command, to end.
        var wasCancelled = false

        static let notRun = Outcome(status: .success)

        /// Why there is no snapshot, for the record; nil if there is one.
        var failure: String? {
            if problem != nil { return "the command could not be run" }
            guard status != .success else { return nil }
            let clause = "the command exited with status \(status.rawValue)"
            return wasCancelled ? "\(CancelAtSignal.reason): \(clause)" : clause
        }
    }

    private let program: ProgramFile
    private let arguments: [String]

    /// - Parameter arguments: The name it was called by first.
    init(_ program: ProgramFile, _ arguments: [String]) {
        self.program = program
        self.arguments = arguments
    }

    /// Runs it to its end. Ctrl-C reaches it from the terminal, since it is in our process group; SIGTERM and SIGHUP are
    /// passed on. Neither ends quiescectl, which has to thaw.
    ///
    /// - Parameter started: Called with its process id.
    func run(_ request: String, started: (Int32) -> Void) -> Outcome {
        let signals = PassedSignals()
        do {
            try TerminationSignals.handle(TerminationSignals.ofCommands) { signals.pass($0) }
            let child = try start(request)
            signals.passOn(to: child)
            started(child.processID)
            defer { TerminationSignals.ignore() }
            return switch signals.waitForEnd(of: child) {
            case .exited(let status): Outcome(status: ExitCode(status), wasCancelled: signals.wereReceived)
            case .signalled(let number):
                Outcome(status: ExitCode(128 + number), wasCancelled: signals.wereReceived || number == SIGINT)
            case nil: Outcome(status: .failed, wasCancelled: signals.wereReceived)
            }
        } catch {
            return Outcome(
                status: ExitCode(126),
                problem:
                    "quiescectl: \(program.path.escaped): it cannot be run: \(escapedControlCharacters("\(error)"))"
                    .asSentence
            )
        }
    }

    private func start(_ request: String) throws(StartFailure) -> ChildProcess {
        let variable = Array("QUIESCE_REQUEST_ID=".utf8)
        let environment =
            ChildProcess.ownEnvironment.filter { !$0.starts(with: variable) } + [variable + request.utf8]
        return try ChildProcess.start(
            ChildProcess.Program(
                program.path, arguments: [program.path.string] + arguments.dropFirst(), environment: environment),
            descriptors: [.standardInput, .standardOutput, .standardError])
    }
}

/// Passes signals of quiescectl on to the command.
private final class PassedSignals: Sendable {
    private struct State {
        var wereReceived = false
        /// Call before the start of the command.
        var waiting: [CInt] = []
        var child: ChildProcess?
    }

    private let state = Mutex(State())

    var wereReceived: Bool { state.withLock(\.wereReceived) }

    func pass(_ number: CInt) {
        state.withLock { state in
            state.wereReceived = true
            guard number != SIGINT else { return }
            if let child = state.child { child.send(signal: number) } else { state.waiting.append(number) }
        }
    }

    func passOn(to child: ChildProcess) {
        state.withLock { state in
            state.child = child
            for number in state.waiting { child.send(signal: number) }
        }
    }

    func waitForEnd(of child: ChildProcess) -> ChildProcess.End? {
        while pollDescriptors([(child.descriptor, .readable)], until: nil)[0].isEmpty {}
        // Once it is reaped its descriptor is closed, and may be another's.
        state.withLock { $0.child = nil }
        return child.waitForEnd()
    }
}
