import ArgumentParser
import ControlProtocol
import FreezeCore
import Presentation
import SystemPackage

/// Why the daemon did not do what it was asked.
enum ControlFailure: ActionableError {
    /// Nobody answers on the socket.
    case notReachable(FilePath, problem: String)
    /// It talks to root only.
    case denied(FilePath)
    /// It answered before, and is gone.
    case lost(FilePath, problem: String)
    /// It said no.
    case refused(ControlErrorName, ControlErrorParameters)
    /// The user did not want it any more. The request is nil if it never began.
    case cancelled(request: String?)
    /// It listens, but does not answer.
    case silent(FilePath, Duration)
    /// The user would not wait for the end of what he had cancelled.
    case abandoned
    /// It was gone before it told how the request ended that it has thawed.
    case endUnknown(request: String, isForced: Bool)
    /// It speaks another language.
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
        case .denied: "quiesced talks to root only"
        case .lost(_, let problem): "quiesced is gone: \(problem)"
        case .misunderstood(_, let problem):
            "quiesced answers what quiescectl does not understand: \(escapedControlCharacters(problem))"
        case .silent(_, let patience):
            "quiesced does not answer within \(readableDuration(milliseconds: patience.milliseconds))"
        case .abandoned: "has not said that the request is cancelled"
        case .endUnknown: "it is thawed, but quiesced was gone before it told how the request ended"
        case .cancelled: "cancelled before everything was frozen"
        case .refused(_, let parameters): escapedControlCharacters(parameters.reason)
        }
    }

    var remedy: String? {
        switch self {
        case .notReachable: "Start it (systemctl start quiesced), or see why it ended (journalctl -u quiesced)."
        case .denied: "Run as root: sudo quiescectl …"
        case .lost: "What was frozen is thawed by its freezer. See why it ended: journalctl -u quiesced."
        case .silent: "See what it waits for: journalctl -u quiesced. A window that is open ends all the same."
        case .abandoned: "The request may go on, and freeze: see quiescectl status."
        case .endUnknown(_, isForced: true): "Its backup is lost. See why it ended: journalctl -u quiesced."
        case .endUnknown(_, isForced: false): "See why it ended: journalctl -u quiesced."
        case .misunderstood: "Let both be of one version."
        case .refused(.busy, _): "Try again later; quiescectl status tells what it does."
        case .refused(.notOwner, _):
            "To end it all the same, and lose that backup: quiescectl thaw --force. A request of hooks freeze ends with "
                + "quiescectl hooks thaw."
        case .refused(.consistencyLost, _): "Do not trust what was taken in this window; begin again."
        case .refused(.nothingFrozen, _), .cancelled: nil
        case .refused(.failed, let parameters): parameters.request.map { "What it did: quiescectl show \($0)." }
        }
    }

    /// The same, about this request where the daemon names none.
    func about(_ request: String) -> ControlFailure {
        guard case .refused(let name, var parameters) = self, parameters.request == nil else { return self }
        parameters.request = request
        return .refused(name, parameters)
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
