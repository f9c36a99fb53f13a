import FreezeCore
import Glibc
import LinuxSystem
import SystemPackage

extension HookVerdict {
    /// Looks at one hook. Blocks as stat(2) does.
    ///
    /// What is wrong with a hook is never a reason to leave it out in silence: an application would then be
    /// missing from the backup without a word.
    static func check(_ hook: Hook) -> HookVerdict {
        do throws(TrustError) {
            try TrustCheck.verify(hook.path)
        } catch {
            return .refused(reason: error.description)
        }
        var status = stat()
        guard hook.path.withPlatformString({ stat($0, &status) }) == 0 else {
            return .refused(reason: "\(hook.path): it cannot be checked: \(Errno(rawValue: errno))")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            return .refused(reason: "\(hook.path): it is not a regular file. Remove it")
        }
        guard status.st_mode & 0o111 != 0 else {
            return .refused(
                reason: "\(hook.path): it is not executable. Run: chmod +x \(hook.path) - or remove it")
        }
        // The permission bits do not tell of a mount with noexec; access(2) does.
        guard hook.path.withPlatformString({ access($0, X_OK) }) == 0 else {
            return .refused(
                reason: """
                    \(hook.path): it cannot be executed: \(Errno(rawValue: errno)). Is its filesystem mounted noexec?
                    """)
        }
        return .trusted
    }
}
