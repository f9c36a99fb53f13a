import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage

/// The directory that hooks are dropped into.
public struct HookDirectory: Hashable, Sendable {
    public let path: FilePath
    /// Whose conventions its hooks follow.
    public let style: HookStyle

    public init(_ path: FilePath, style: HookStyle = .quiesce) {
        self.path = path
        self.style = style
    }

    /// The hook that is called so, whether it is there or not.
    func hook(named name: String) -> Hook {
        let kind = style == .quiesce ? HookKind(hookName: name) : .plain
        return Hook(name: prefix + name, path: path.appending(name), kind: kind, style: style)
    }

    /// Tells the names of imported hooks from the names of our own.
    var prefix: String { style == .quiesce ? "" : "\(style.rawValue)/" }

    /// Lists the hooks in bytewise order of their names, each with its verdict. Blocks as readdir(3) and
    /// stat(2) do.
    ///
    /// Directories, dot files and what editors and package managers leave behind are ignored, as QEMU's wrapper
    /// does. Everything else is a hook. A directory that others can write to taints every hook in it.
    ///
    /// - Returns: Nothing if the directory does not exist: having no hooks is in order. But who imports hooks has some.
    /// - Throws: ``HookError`` if it exists but cannot be read, or if it is imported and does not exist.
    public func scan() throws(HookError) -> [HookCandidate] {
        try entries().map { entry in
            let name = entry.string
            let hook = hook(named: name)
            guard name.utf8.elementsEqual(entry.bytes) else {
                return HookCandidate(
                    hook: hook, verdict: .refused(reason: "\(hook.path): its name is not UTF-8. Rename it"))
            }
            return HookCandidate(hook: hook, verdict: HookVerdict.check(hook))
        }
    }

    /// Names that are no hooks, whatever the file is.
    public static func isIgnored(_ name: String) -> Bool {
        let suffixes = ["~", ".bak", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".sample"]
        return name.hasPrefix(".") || suffixes.contains { name.hasSuffix($0) } || name.contains(".dpkg-")
    }

    /// The hooks' names as the directory holds them, sorted by byte.
    private func entries() throws(HookError) -> [FilePath.Component] {
        do throws(Errno) {
            return try directoryEntries(path)
                .filter { !Self.isIgnored($0.string) }
                .filter { isUntrustedLink($0) || !isDirectory($0) && !isPassedOver($0) }
                .sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        } catch .noSuchFileOrDirectory where style == .quiesce {
            return []
        } catch {
            throw HookError(directory: path, errno: error)
        }
    }

    /// Whether it is a link whose target must not be looked at, since a user's FUSE server may never answer. Such a
    /// hook is refused.
    private func isUntrustedLink(_ entry: FilePath.Component) -> Bool {
        let path = path.appending(entry)
        guard (try? readSymbolicLink(path)) != nil else { return false }
        do throws(TrustError) {
            try TrustCheck.verify(path)
            return false
        } catch {
            // A link that leads nowhere or in a circle is harmless.
            if case .unreadable = error.finding { return false }
            return error.finding != .tooManySymbolicLinks
        }
    }

    private func isPassedOver(_ entry: FilePath.Component) -> Bool {
        style == .qemu && path.appending(entry).withPlatformString { access($0, X_OK) } != 0
    }

    private func isDirectory(_ entry: FilePath.Component) -> Bool {
        var status = stat()
        return path.appending(entry).withPlatformString({ stat($0, &status) }) == 0
            && status.st_mode & S_IFMT == S_IFDIR
    }
}

extension FilePath.Component {
    /// What ``string`` repairs if it is not UTF-8.
    fileprivate var bytes: [UInt8] {
        withPlatformString { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) }
    }
}
