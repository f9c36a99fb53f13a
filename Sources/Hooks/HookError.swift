import FreezeCore
import SystemPackage

/// The hooks could not even be listed.
public struct HookError: ActionableError, Hashable {
    public let directory: FilePath
    public let errno: Errno

    public var subject: String { directory.string }
    public var problem: String { "the directory of the hooks cannot be read: \(errno)" }
    public var remedy: String? {
        switch errno {
        case .notDirectory: "hooks.directory must name a directory"
        case .noSuchFileOrDirectory: "The directory of a [[hooks.import]] must be there"
        default: nil
        }
    }
}
