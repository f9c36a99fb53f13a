import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage

/// Where the freezer is: beside the daemon, or in libexec beside its bin or sbin. Never from PATH.
enum FreezerExecutable {
    /// - Throws: `StartError`, or `TrustError` if somebody but root could have changed it.
    static func find() throws -> FilePath {
        let daemon: FilePath
        do throws(Errno) {
            daemon = try readSymbolicLink("/proc/self/exe")
        } catch {
            throw StartError.ownPathUnknown(error)
        }
        let directory = daemon.removingLastComponent()
        let candidates = [
            directory.appending("quiesce-freezer"),
            directory.removingLastComponent().appending("libexec/quiesced/quiesce-freezer"),
        ]
        guard let found = candidates.first(where: { access($0.string, F_OK) == 0 }) else {
            throw StartError.freezerNotFound(at: candidates)
        }
        try TrustCheck.verify(found)
        guard access(found.string, X_OK) == 0 else { throw StartError.freezerNotExecutable(found) }
        return found
    }
}
