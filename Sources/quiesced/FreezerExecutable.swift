import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage

/// Where the freezer is: beside the daemon, or in libexec beside its bin or sbin. Never from PATH.
enum FreezerExecutable {
    /// - Throws: `FreezerNotFound`, or `TrustError` if somebody but root could have changed it.
    static func find() throws -> FilePath {
        let daemon = try readSymbolicLink("/proc/self/exe")
        let directory = daemon.removingLastComponent()
        let candidates = [
            directory.appending("quiesce-freezer"),
            directory.removingLastComponent().appending("libexec/quiesced/quiesce-freezer"),
        ]
        guard let found = candidates.first(where: { access($0.string, X_OK) == 0 }) else {
            throw FreezerNotFound(candidates: candidates)
        }
        try TrustCheck.verify(found)
        return found
    }
}

struct FreezerNotFound: ActionableError {
    let candidates: [FilePath]

    var subject: String { "quiesce-freezer" }
    var problem: String { "the helper that freezes is not there" }
    var remedy: String? {
        "Install it as " + candidates.map(\.string).joined(separator: " or ") + "."
    }
}
