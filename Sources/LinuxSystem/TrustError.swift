import FreezeCore
import SystemPackage

/// A path that a user other than root could change, or that could not be checked.
public struct TrustError: ActionableError, Hashable {
    /// The finding of the check.
    public enum Finding: Hashable, Sendable {
        case notOwnedByRoot(owner: UInt32)
        case writableByGroup
        case writableByOthers
        /// The mode of a secret file gives a permission to the group or others.
        case accessibleToOthers
        case tooManySymbolicLinks
        case notAbsolute
        /// The filesystem's server may be a user's program, and can report any owner and mode.
        case onUserspaceFilesystem(type: String)
        /// A system call of the check failed.
        case unreadable(Errno)
    }

    /// The path that was to be trusted.
    public let path: FilePath
    /// Where the walk stopped: the path itself, a directory above it, a link on the way, or its target.
    public let culprit: FilePath
    public let finding: Finding

    public init(path: FilePath, culprit: FilePath, finding: Finding) {
        self.path = path
        self.culprit = culprit
        self.finding = finding
    }

    public var subject: String { path.string }

    public var problem: String {
        let thing = culprit == path ? "it" : culprit.string
        return switch finding {
        case .notOwnedByRoot(let owner): "\(thing) is owned by user \(owner), not by root"
        case .writableByGroup: "\(thing) is writable by its group"
        case .writableByOthers: "\(thing) is writable by everybody"
        case .accessibleToOthers: "it is a secret, and its mode gives permissions to others than root"
        case .tooManySymbolicLinks: "it leads through too many symbolic links, or in a circle"
        case .notAbsolute: "it is not an absolute path"
        case .onUserspaceFilesystem(let type):
            "\(thing) is on a FUSE filesystem (\(type)), whose server can show any owner and mode"
        case .unreadable(.noSuchFileOrDirectory) where culprit == path: "it does not exist"
        case .unreadable(.noSuchFileOrDirectory): "\(thing), which it leads to, does not exist"
        case .unreadable(let errno): "\(thing) cannot be checked: \(errno)"
        }
    }

    public var remedy: String? {
        switch finding {
        case .notOwnedByRoot: "Run: chown -h root \(culprit.string)"
        case .writableByGroup where culprit.isSharedDirectory, .writableByOthers where culprit.isSharedDirectory:
            "Move it to a directory that only root can write to"
        case .writableByGroup: "Run: chmod g-w \(culprit.string)"
        case .writableByOthers: "Run: chmod go-w \(culprit.string)"
        case .accessibleToOthers: "Run: chmod 600 \(culprit.string)"
        case .tooManySymbolicLinks: "Replace the symbolic link by the file"
        case .onUserspaceFilesystem: "Move it to a local filesystem"
        case .notAbsolute: "Write the path from / on"
        case .unreadable: nil
        }
    }
}

extension FilePath {
    /// Directories that are writable by everybody on purpose: advising chmod would break the machine.
    fileprivate var isSharedDirectory: Bool {
        ["/tmp", "/var/tmp", "/dev/shm"].contains(string)
    }
}
