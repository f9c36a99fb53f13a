import ArgumentParser
import Configuration
import FreezeCore
import LinuxSystem

/// How a command ends. (0 is success.) The same for all commands; the README and the help name these numbers.
extension ExitCode {
    /// It failed, and nothing is left frozen.
    static let failed = ExitCode(1)
    /// It was called or configured wrongly.
    static let wrongUsage = ExitCode(2)
    /// The daemon is not there, or does not answer.
    static let notReachable = ExitCode(3)
    /// Another request is under way.
    static let busy = ExitCode(4)
    /// It was done, but what was taken in the window is not to be trusted.
    static let consistencyLost = ExitCode(5)
    /// It was done, and the snapshot is good, but a hook failed at thaw: its application may be down.
    static let attention = ExitCode(6)

    /// The status that an error which ends a command has.
    init(for error: any ActionableError) {
        switch error {
        case let failure as ControlFailure: self = failure.exitCode
        case is NoDaemon: self = .notReachable
        case is ConfigurationError, is TrustError, is ProgramNotFound, is FrozenOutput: self = .wrongUsage
        default: self = .failed
        }
    }
}
