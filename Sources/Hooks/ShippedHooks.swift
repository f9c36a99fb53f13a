import FreezeCore
import LinuxCalls
import SystemPackage

/// The hooks that come with quiesce, to be enabled by name; and what a hook of one's own begins with.
public struct ShippedHooks: Sendable {
    /// `share/quiesced/hooks` beside the program's bin or sbin.
    public let directory: FilePath

    /// Below the prefix of an installation.
    private static let place: FilePath = "share/quiesced/hooks"

    /// Hooks that only shorten recovery: a copy made without their work is as good.
    static let withoutConsequence: Set = ["50-postgresql", "50-sqlite"]

    /// - Parameter program: Where quiescectl or quiesced is.
    public init(beside program: FilePath) {
        directory = program.removingLastComponent().removingLastComponent().appending(Self.place.components)
    }

    /// The default for the failures of a shipped hook, recognised by the target of the link that `quiescectl hooks enable`
    /// makes; nil for every other file. Blocks as readlink(2) does.
    static func onFailure(ofLink link: FilePath) -> RequestPolicy.HookFailure? {
        guard let target = try? readSymbolicLink(link), let name = target.lastComponent?.string,
            withoutConsequence.contains(name), target.removingLastComponent().ends(with: place)
        else { return nil }
        return .proceed
    }

    /// All of them, by name.
    ///
    /// - Throws: `HookError` if the directory cannot be read.
    public func all() throws(HookError) -> [Hook] {
        try HookDirectory(directory).scan().map(\.hook).filter { $0.name != $0.plainName }
            .sorted { $0.plainName < $1.plainName }
    }

    /// The settings that a hook begins with, each of them commented out.
    public func settings(of hook: Hook) -> FilePath { directory.appending("settings").appending(hook.plainName) }

    /// What a hook of one's own begins with.
    public func template(_ kind: HookKind) -> FilePath {
        directory.appending(kind == .plain ? "sample-hook" : "sample-session")
    }
}
