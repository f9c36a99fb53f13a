import SystemPackage

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
