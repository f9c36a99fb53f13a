import FreezeCore
import LinuxCalls
import SystemPackage

/// The hooks that come with quiesce, to be enabled by name; and what a hook of one's own begins with.
public struct ShippedHooks: Sendable {
    /// `share/quiesced/hooks` beside the program's bin or sbin.
    public let directory: FilePath

    /// - Parameter program: Where quiescectl or quiesced is.
    public init(beside program: FilePath) {
        directory = program.removingLastComponent().removingLastComponent().appending("share/quiesced/hooks")
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
