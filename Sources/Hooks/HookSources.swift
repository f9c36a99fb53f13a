import FreezeCore
import SystemPackage

/// Where hooks come from: our own directory, and those that were written for other agents.
public struct HookSources: Hashable, Sendable {
    /// What VMware's tools call besides their directory; one of the two may be missing.
    private static let vmwareFreeze: FilePath = "/usr/sbin/pre-freeze-script"
    private static let vmwareThaw: FilePath = "/usr/sbin/post-thaw-script"

    /// In their order.
    private let directories: [HookDirectory]

    /// - Parameter imports: Other directories, in their order; one of each style.
    public init(_ directory: FilePath, imports: [HookDirectory] = []) {
        directories = [HookDirectory(directory)] + imports
    }

    /// Every hook in the order of freeze, each with its verdict: our own first, and then those of each import. Blocks as
    /// ``HookDirectory/scan()`` does.
    public func scan() throws(HookError) -> [HookCandidate] {
        var candidates: [HookCandidate] = []
        for directory in directories {
            if directory.style == .vmware, let script = Self.vmwareScript {
                candidates.append(HookCandidate(hook: script, verdict: HookVerdict.check(script)))
            }
            candidates += try directory.scan()
        }
        return candidates
    }

    /// The hook that a scan has called so, whether it is there still or not.
    public func hook(named name: String) -> Hook {
        if name == Self.vmware.name { return Self.vmware }
        let directory = directories.first { !$0.prefix.isEmpty && name.hasPrefix($0.prefix) } ?? directories[0]
        return directory.hook(named: String(name.dropFirst(directory.prefix.count)))
    }

    /// Called first for freeze, and last for thaw.
    private static let vmware = Hook(
        name: "vmware/pre-freeze-script", path: vmwareFreeze, kind: .plain, style: .vmware, thawPath: vmwareThaw)

    private static var vmwareScript: Hook? {
        Hook.exists(vmwareFreeze) || Hook.exists(vmwareThaw) ? vmware : nil
    }
}
