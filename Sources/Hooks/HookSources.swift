import Configuration
import FreezeCore
import SystemPackage

/// Where hooks come from: our own directory, and those that were written for other agents.
public struct HookSources: Hashable, Sendable {
    /// What VMware's tools call besides their directory; one of the two may be missing.
    private static let vmwareFreeze: FilePath = "/usr/sbin/pre-freeze-script"
    private static let vmwareThaw: FilePath = "/usr/sbin/post-thaw-script"

    /// In their order.
    private let directories: [HookDirectory]
    private let overrides: [HookOverride]

    /// - Parameters:
    ///   - imports: Other directories, in their order; one of each style.
    ///   - overrides: Limits of single hooks, by name. One without a hook is ignored.
    public init(_ directory: FilePath, imports: [HookDirectory] = [], overrides: [HookOverride] = []) {
        directories = [HookDirectory(directory)] + imports
        self.overrides = overrides
    }

    /// Every hook in the order of freeze, each with its verdict and its limits: our own first, and then those of each
    /// import. What decides on a failure is the first of: the override, the default of a shipped hook, the style of an
    /// import. Blocks as ``HookDirectory/scan()`` does.
    public func scan() throws(HookError) -> [HookCandidate] {
        try scanDirectories().map { candidate in
            var hook = candidate.hook
            if let shipped = ShippedHooks.onFailure(ofLink: hook.path) { hook.onFailure = shipped }
            return HookCandidate(hook: overriding(hook), verdict: candidate.verdict)
        }
    }

    private func overriding(_ hook: Hook) -> Hook {
        guard let override = overrides.first(where: { $0.hook == hook.name }) else { return hook }
        var hook = hook
        hook.timeout = override.timeout ?? hook.timeout
        hook.onFailure = override.onFailure ?? hook.onFailure
        return hook
    }

    private func scanDirectories() throws(HookError) -> [HookCandidate] {
        var candidates: [HookCandidate] = []
        for directory in directories {
            if directory.style == .vmware, let script = Self.vmwareScript {
                candidates.append(HookCandidate(hook: script, verdict: HookVerdict.check(script)))
            }
            candidates += try directory.scan()
        }
        return candidates
    }

    /// The hook that a scan has called so, whether it is there still or not. Looks at no file: the default of a shipped
    /// hook for failures is not in it.
    public func hook(named name: String) -> Hook {
        if name == Self.vmware.name { return overriding(Self.vmware) }
        let directory = directories.first { !$0.prefix.isEmpty && name.hasPrefix($0.prefix) } ?? directories[0]
        return overriding(directory.hook(named: String(name.dropFirst(directory.prefix.count))))
    }

    /// Called first for freeze, and last for thaw.
    private static let vmware = Hook(
        name: "vmware/pre-freeze-script", path: vmwareFreeze, kind: .plain, style: .vmware, thawPath: vmwareThaw)

    private static var vmwareScript: Hook? {
        Hook.exists(vmwareFreeze) || Hook.exists(vmwareThaw) ? vmware : nil
    }
}
