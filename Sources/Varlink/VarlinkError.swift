import FreezeCore
import SystemPackage

/// What can go wrong between a server or client and its socket, and what a server may answer.
public struct VarlinkError: ActionableError {
    public enum Code: Sendable, Hashable {
        /// The socket's path does not fit into an address (unix(7): 107 bytes).
        case pathTooLong
        /// Something other than a socket is at the path.
        case occupied
        /// Somebody listens at the path already.
        case inUse
        case cannotListen
        /// An interface's description names no interface.
        case malformedInterface
        /// There is no socket at the path.
        case notThere
        /// There is a socket, but nobody listens.
        case refused
        /// The caller may not talk to the server: the socket or the server itself says so.
        case permissionDenied
        case cannotConnect
        /// The server has answered with an error: see ``VarlinkError/errorReply``.
        case errorReply
        /// The connection ended before the answer came.
        case connectionLost
        /// No answer came in time.
        case timedOut
        /// What came is no answer, or not the one that was asked for.
        case malformedReply
        /// The call could not be written as JSON.
        case malformedCall
    }

    public let code: Code
    public let subject: String
    public let problem: String
    public let remedy: String?
    public let underlyingError: Errno?
    /// The answer, where it was an error.
    public let errorReply: VarlinkErrorReply?

    init(
        _ code: Code, _ subject: String, _ problem: String, remedy: String? = nil, underlyingError: Errno? = nil,
        errorReply: VarlinkErrorReply? = nil
    ) {
        self.code = code
        self.subject = subject
        self.problem = underlyingError.map { "\(problem) (\($0))" } ?? problem
        self.remedy = remedy
        self.underlyingError = underlyingError
        self.errorReply = errorReply
    }
}

extension VarlinkError {
    /// Why there is no connection.
    static func unreachable(_ path: FilePath, _ errno: Errno) -> VarlinkError {
        let (code, problem, remedy): (Code, String, String?) =
            switch errno {
            case .noSuchFileOrDirectory, .notDirectory:
                (.notThere, "there is no such socket", "Start the server, or name its socket.")
            case .connectionRefused:
                (.refused, "nobody listens here", "Start the server, or name its socket.")
            case .permissionDenied, .notPermitted:
                (.permissionDenied, "you may not connect", "Run this as the user that the server serves.")
            case .resourceTemporarilyUnavailable:
                (.cannotConnect, "too many clients wait to be connected", "Try again.")
            default: (.cannotConnect, "cannot be connected to", nil)
            }
        return VarlinkError(code, path.string, problem, remedy: remedy, underlyingError: errno)
    }

    static func pathTooLong(_ path: FilePath) -> VarlinkError {
        VarlinkError(
            .pathTooLong, path.string, "is too long for a socket, which has 107 bytes at most",
            remedy: "Set a shorter path.")
    }

    /// An answer that is an error.
    static func reply(_ reply: VarlinkErrorReply, to method: String) -> VarlinkError {
        let isDenial = reply.name == VarlinkServiceError.permissionDenied.name
        let details = (reply.parameters(as: [String: String].self) ?? [:]).sorted { $0.key < $1.key }
            .map { " (\($0.key): \($0.value))" }.joined()
        return VarlinkError(
            isDenial ? .permissionDenied : .errorReply, method, "the server answered \(reply.name)\(details)",
            remedy: isDenial ? "Run this as the user that the server serves." : nil, errorReply: reply)
    }

    static func malformedReply(to method: String, _ error: any Error) -> VarlinkError {
        VarlinkError(
            .malformedReply, method, "the answer makes no sense (\(error))",
            remedy: "Look whether server and client are of the same version.")
    }
}
