import ControlProtocol
import FreezeCore

/// The permissions of the callers of a desk.
enum ControlAccess: Sendable {
    /// Root of this machine, on the control socket: everything.
    case admin
    /// The host, over vsock: read, and with `mayFreeze` a window that ends with the connection. With an authenticator a
    /// connection must send the token first.
    case host(mayFreeze: Bool, TokenAuthenticator?)

    var isTrusted: Bool {
        switch self {
        case .admin: true
        case .host: false
        }
    }

    /// The channel of a connection that holds a window.
    func holderChannel(_ number: UInt64) -> ChannelID {
        switch self {
        case .admin: .hold(number)
        case .host: .vsock(number)
        }
    }

    /// Why a method is denied; nil if the method is allowed.
    func refusal(of method: ControlInterface.Method, isAuthenticated: Bool) -> String? {
        guard case .host(let mayFreeze, let authenticator) = self, method != .authenticate else { return nil }
        if authenticator != nil, !isAuthenticated {
            return "no token was shown on this connection: call Authenticate"
        }
        switch method {
        case .status, .history, .monitor, .authenticate: return nil
        case .freeze, .thaw: return mayFreeze ? nil : "vsock.access is \"status\": the host may only read"
        case .acknowledge: return "only an admin can acknowledge, on the control socket"
        }
    }

    func refusal(of parameters: FreezeParameters) -> String? {
        guard case .host = self else { return nil }
        if parameters.freeze == false { return "a request for hooks alone is refused over vsock" }
        return parameters.hold == true ? nil : "a window without hold is refused over vsock"
    }

    func refusal(of parameters: ThawParameters) -> String? {
        guard case .host = self else { return nil }
        if parameters.force == true { return "a forced thaw is refused over vsock" }
        return parameters.hooksOnly == true ? "a request for hooks alone is refused over vsock" : nil
    }
}
