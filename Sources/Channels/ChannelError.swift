import FreezeCore
import SystemPackage

/// What can go wrong with a channel or with the simulated host.
public struct ChannelError: ActionableError, Hashable {
    public enum Code: Hashable, Sendable {
        case malformedMessage
        case invalidStep
        case deviceUnusable
        case systemCall
    }

    public let code: Code
    public let subject: String
    public let problem: String
    public let remedy: String?
    /// The errno behind it, if one is.
    public let underlyingError: Errno?

    public init(
        _ code: Code, subject: String, problem: String, remedy: String? = nil, underlyingError: Errno? = nil
    ) {
        self.code = code
        self.subject = subject
        self.problem = problem
        self.remedy = remedy
        self.underlyingError = underlyingError
    }

    static func malformedMessage(_ problem: String) -> ChannelError {
        ChannelError(
            .malformedMessage, subject: "Hyper-V message", problem: problem,
            remedy: "Report it with the kernel's version: the driver speaks another protocol")
    }

    static func cannotStart(_ channel: String, _ error: Errno) -> ChannelError {
        ChannelError(
            .systemCall, subject: channel, problem: "it cannot start: \(error)",
            remedy: "Raise LimitNOFILE and TasksMax of the service", underlyingError: error)
    }
}
