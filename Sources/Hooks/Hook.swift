import FreezeCore
import Glibc
import SystemPackage

/// An admin's program that is run around the freeze.
public struct Hook: Hashable, Sendable {
    /// The file's name; hooks are called in its bytewise order.
    public let name: String
    public let path: FilePath
    public let kind: HookKind
    public let style: HookStyle
    /// What is called for thaw, where that is another program. Of the two one may be missing.
    let thawPath: FilePath?
    /// The limit for each call; nil for `hooks.timeout`.
    public var timeout: Duration?
    /// What becomes of a request when the hook fails; nil for `hooks.on_failure`.
    public var onFailure: RequestPolicy.HookFailure?

    public init(
        name: String, path: FilePath, kind: HookKind, style: HookStyle = .quiesce, thawPath: FilePath? = nil
    ) {
        self.name = name
        self.path = path
        self.kind = kind
        self.style = style
        self.thawPath = thawPath
        onFailure = style.onFailure
    }

    /// Where the settings of `NN-name` and `NN-name.session` are: `../hooks.conf.d/name`. They may be missing.
    public var settings: FilePath? {
        guard style == .quiesce else { return nil }
        return path.removingLastComponent().removingLastComponent().appending("hooks.conf.d").appending(plainName)
    }

    /// Without the number and the kind.
    public var plainName: String {
        let kindless = kind == .session ? String(name.dropLast(".session".count)) : name
        let numberless = kindless.drop { $0.isASCII && $0.isNumber }
        return numberless.hasPrefix("-") && numberless.count < kindless.count && numberless.count > 1
            ? String(numberless.dropFirst()) : kindless
    }

    /// What is run in a phase; nil if nothing is to be.
    func program(for phase: HookPhase) -> FilePath? {
        guard let thawPath else { return path }
        let program = phase == .freeze ? path : thawPath
        return Self.exists(program) ? program : nil
    }

    /// The programs that a call may run.
    var programs: [FilePath] { [path] + (thawPath.map { [$0] } ?? []) }

    /// Blocks as access(2) does.
    static func exists(_ path: FilePath) -> Bool { path.withPlatformString { access($0, F_OK) } == 0 }
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
