import FreezeCore

/// Why a method failed: the errors of the interface.
public enum ControlErrorName: String, Sendable, Hashable, CaseIterable {
    case busy = "Busy"
    case failed = "Failed"
    case consistencyLost = "ConsistencyLost"
    case notOwner = "NotOwner"
    case nothingFrozen = "NothingFrozen"
    case permissionDenied = "PermissionDenied"

    /// As it is sent.
    public var qualifiedName: String { "\(ControlInterface.name).\(rawValue)" }

    public init?(qualifiedName: String) {
        let prefix = ControlInterface.name + "."
        guard qualifiedName.hasPrefix(prefix) else { return nil }
        self.init(rawValue: String(qualifiedName.dropFirst(prefix.count)))
    }

    public init(_ refusal: AnswerDetail.Refusal) {
        self =
            switch refusal {
            case .busy: .busy
            case .failed: .failed
            case .lost: .consistencyLost
            case .notOwner: .notOwner
            case .nothingFrozen: .nothingFrozen
            }
    }
}

/// What every error of the interface carries.
public struct ControlErrorParameters: Codable, Hashable, Sendable {
    public var request: String?
    /// A clause, safe to show.
    public var reason: String

    public init(request: String?, reason: String) {
        self.request = request
        self.reason = reason
    }
}
