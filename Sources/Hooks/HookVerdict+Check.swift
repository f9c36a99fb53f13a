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
            for file in hook.files { try TrustCheck.verify(file) }
        } catch {
            return .refused(reason: error.description)
        }
        for program in Set(HookPhase.allCases.compactMap(hook.program)) {
            if case .refused(let reason) = check(program) { return .refused(reason: reason) }
        }
        return .trusted
    }

    private static func check(_ program: FilePath) -> HookVerdict {
        var status = stat()
        guard program.withPlatformString({ stat($0, &status) }) == 0 else {
            return .refused(reason: "\(program): it cannot be checked: \(Errno(rawValue: errno))")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            return .refused(reason: "\(program): it is not a regular file. Remove it")
        }
        guard status.st_mode & 0o111 != 0 else {
            return .refused(
                reason: "\(program): it is not executable. Run: chmod +x \(program) - or remove it")
        }
        // The permission bits do not tell of a mount with noexec; access(2) does.
        guard program.withPlatformString({ access($0, X_OK) }) == 0 else {
            return .refused(
                reason: """
                    \(program): it cannot be executed: \(Errno(rawValue: errno)). Is its filesystem mounted noexec?
                    """)
        }
        return .trusted
    }
}
