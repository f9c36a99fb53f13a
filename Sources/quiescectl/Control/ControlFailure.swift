import ArgumentParser
import ControlProtocol
import FreezeCore
import Presentation
import SystemPackage

/// Why a call to the daemon failed.
enum ControlFailure: ActionableError {
    /// No daemon listens on the socket.
    case notReachable(FilePath, problem: String)
    /// The caller is not root.
    case denied(FilePath)
    /// The daemon ended during the call.
    case lost(FilePath, problem: String)
    /// The daemon has answered with an error.
    case refused(ControlErrorName, ControlErrorParameters)
    /// A signal has cancelled FREEZE. The request is nil if it never began.
    case cancelled(request: String?)
    /// The daemon listens, but does not answer.
    case silent(FilePath, Duration)
    /// A second signal has ended the wait for a cancellation.
    case abandoned
    /// The daemon ended between the answer to THAW and the record of the request.
    case endUnknown(request: String, isForced: Bool)
    /// The answer is no message of this version.
    case misunderstood(FilePath, problem: String)

    var subject: String {
        switch self {
        case .denied(let socket), .notReachable(let socket, _), .lost(let socket, _), .silent(let socket, _),
            .misunderstood(let socket, _):
            socket.escaped
        case .abandoned: "quiesced"
        case .cancelled(let request): request.map(Self.name) ?? "freeze"
        case .endUnknown(let request, _): Self.name(of: request)
        case .refused(.nothingFrozen, _): "thaw"
        case .refused(_, let parameters): Self.subject(of: parameters)
        }
    }

    /// The request, unless the reason names it.
    private static func subject(of parameters: ControlErrorParameters) -> String {
        guard let request = parameters.request, !parameters.reason.contains("request \(request)") else {
            return "quiesced"
        }
        return name(of: request)
    }

    /// A daemon that answers without an id is no reason for a message without a subject.
    private static func name(of request: String) -> String {
        request.isEmpty ? "quiesced" : "request \(escapedControlCharacters(request))"
    }

    var problem: String {
        switch self {
        case .notReachable(_, let problem): "quiesced cannot be reached: \(problem)"
        case .denied: "only root may use this socket"
        case .lost(_, let problem): "quiesced ended during the call: \(problem)"
        case .misunderstood(_, let problem):
            "quiescectl cannot read the answer of quiesced: \(escapedControlCharacters(problem))"
        case .silent(_, let patience):
            "quiesced does not answer within \(readableDuration(milliseconds: patience.milliseconds))"
        case .abandoned: "has not confirmed the cancellation"
        case .endUnknown: "quiesced ended before it reported the result of the thaw"
        case .cancelled: "cancelled before FREEZE was complete"
        case .refused(_, let parameters): escapedControlCharacters(parameters.reason)
        }
    }

    var remedy: String? {
        switch self {
        case .notReachable:
            "Start quiesced (systemctl start quiesced), or see why it ended (journalctl -u quiesced)."
        case .denied: "Run as root: sudo quiescectl …"
        case .lost:
            "The freezer thaws frozen filesystems, and the next start calls the hooks for thaw. See why quiesced ended: "
                + "journalctl -u quiesced."
        case .silent:
            "See what quiesced waits for: journalctl -u quiesced. An open window ends in time all the same."
        case .abandoned: "The request may still go on: see quiescectl status."
        case .endUnknown(_, isForced: true): "Its backup is lost. See why quiesced ended: journalctl -u quiesced."
        case .endUnknown(_, isForced: false): "See why quiesced ended: journalctl -u quiesced."
        case .misunderstood: "Restart quiesced after an update: both programs must have one version."
        case .refused(.busy, _): "Try again later; quiescectl status shows the other request."
        case .refused(.notOwner, _):
            "To end the request all the same, and lose its backup: quiescectl thaw --force. A request of hooks freeze ends "
                + "with quiescectl hooks thaw."
        case .refused(.consistencyLost, _): "Do not trust a snapshot of this window; begin again."
        case .refused(.nothingFrozen, _), .refused(.permissionDenied, _), .cancelled: nil
        case .refused(.failed, let parameters): parameters.request.map { "See quiescectl show \($0)." }
        }
    }

    /// The same, about this request where the daemon names none.
    func about(_ request: String) -> ControlFailure {
        guard case .refused(let name, var parameters) = self, parameters.request == nil else { return self }
        parameters.request = request
        return .refused(name, parameters)
    }

    /// Whether the daemon has decided about the request.
    var isFinal: Bool {
        switch self {
        case .refused, .endUnknown: true
        case .notReachable, .denied, .lost, .cancelled, .silent, .abandoned, .misunderstood: false
        }
    }

    var exitCode: ExitCode {
        switch self {
        case .notReachable, .denied, .silent: .notReachable
        case .refused(.busy, _): .busy
        case .refused(.consistencyLost, _), .endUnknown(_, isForced: true): .consistencyLost
        case .lost, .cancelled, .abandoned, .endUnknown, .misunderstood, .refused: .failed
        }
    }
}
