import FreezeCore
import Glibc
import SystemPackage

/// The directory that hooks are dropped into.
public struct HookDirectory: Hashable, Sendable {
    public let path: FilePath

    public init(_ path: FilePath) {
        self.path = path
    }

    /// Lists the hooks in bytewise order of their names, each with its verdict. Blocks as readdir(3) and
    /// stat(2) do: from asynchronous code call ``scanOnOwnThread()``.
    ///
    /// Directories, dot files and what editors and package managers leave behind are ignored, as QEMU's wrapper
    /// does. Everything else is a hook. A directory that others can write to taints every hook in it.
    ///
    /// - Returns: Nothing if the directory does not exist: having no hooks is in order.
    /// - Throws: ``HookError`` if it exists but cannot be read.
    public func scan() throws(HookError) -> [HookCandidate] {
        try names().map { bytes in
            let name = String(decoding: bytes, as: UTF8.self)
            let hook = Hook(name: name, path: path.appending(name), kind: Self.kind(of: name))
            guard name.utf8.elementsEqual(bytes) else {
                return HookCandidate(
                    hook: hook, verdict: .refused(reason: "\(hook.path): its name is not UTF-8. Rename it"))
            }
            return HookCandidate(hook: hook, verdict: HookVerdict.check(hook))
        }
    }

    /// ``scan()``, on a thread of its own.
    public func scanOnOwnThread() async throws(HookError) -> [HookCandidate] {
        let result: Result<[HookCandidate], HookError>
        do throws(Errno) {
            result = try await onOwnThread("hook-scan") { () -> Result<[HookCandidate], HookError> in
                do throws(HookError) { return .success(try scan()) } catch { return .failure(error) }
            }
        } catch {
            throw HookError(directory: path, errno: error)
        }
        return try result.get()
    }

    static func kind(of name: String) -> HookKind {
        name.hasSuffix(".session") ? .session : .plain
    }

    /// Names that are no hooks, whatever the file is.
    static func isIgnored(_ name: String) -> Bool {
        let suffixes = ["~", ".bak", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".sample"]
        return name.hasPrefix(".") || suffixes.contains { name.hasSuffix($0) } || name.contains(".dpkg-")
    }

    /// The names of the hooks as the directory holds them, sorted by byte.
    private func names() throws(HookError) -> [[UInt8]] {
        guard let stream = path.withPlatformString({ opendir($0) }) else {
            let error = Errno(rawValue: errno)
            if error == .noSuchFileOrDirectory { return [] }
            throw HookError(directory: path, errno: error)
        }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        while true {
            // The only way to tell the end from an error (readdir(3)).
            errno = 0
            guard let entry = readdir(stream) else {
                let error = Errno(rawValue: errno)
                guard error.rawValue == 0 else { throw HookError(directory: path, errno: error) }
                break
            }
            let bytes = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            let name = String(decoding: bytes, as: UTF8.self)
            if !Self.isIgnored(name), !isDirectory(name, descriptor: dirfd(stream)) { names.append(bytes) }
        }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    private func isDirectory(_ name: String, descriptor: CInt) -> Bool {
        var status = stat()
        return fstatat(descriptor, name, &status, 0) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}
