import FreezeCore
import SystemPackage

/// An admin's program that is run around the freeze.
public struct Hook: Hashable, Sendable {
    /// The file's name; hooks are called in its bytewise order.
    public let name: String
    public let path: FilePath
    public let kind: HookKind

    public init(name: String, path: FilePath, kind: HookKind) {
        self.name = name
        self.path = path
        self.kind = kind
    }
}

/// Whether a hook may be run as root.
public enum HookVerdict: Hashable, Sendable {
    case trusted
    /// Why not, and what to do about it.
    case refused(reason: String)
}

/// A hook as it was found, and whether it may be run.
public struct HookCandidate: Hashable, Sendable {
    public let hook: Hook
    public let verdict: HookVerdict

    public init(hook: Hook, verdict: HookVerdict) {
        self.hook = hook
        self.verdict = verdict
    }
}
