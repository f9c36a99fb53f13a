import FreezeCore
import Glibc
import SystemPackage

/// Where the freezer is: beside the daemon, or in libexec beside its bin or sbin. Never from PATH.
public enum FreezerExecutable {
    /// - Parameter program: The daemon, or a program that is installed beside it.
    public static func find(beside program: FilePath) throws(FreezerUnusable) -> FilePath {
        let directory = program.removingLastComponent()
        let candidates = [
            directory.appending("quiesce-freezer"),
            directory.removingLastComponent().appending("libexec/quiesced/quiesce-freezer"),
        ]
        // The first that is there, usable or not: another one is not what the admin has installed last.
        guard let found = candidates.first(where: { access($0.string, F_OK) == 0 }) else {
            throw .missing(candidates)
        }
        do throws(TrustError) {
            try TrustCheck.verify(found)
        } catch {
            throw .untrusted(error)
        }
        guard access(found.string, X_OK) == 0 else { throw .notExecutable(found) }
        return found
    }
}

/// Why there is no freezer that can be run.
public enum FreezerUnusable: ActionableError, Hashable {
    /// It is in none of these places.
    case missing([FilePath])
    /// Somebody but root could have changed it.
    case untrusted(TrustError)
    case notExecutable(FilePath)

    public var subject: String {
        switch self {
        case .missing: "quiesce-freezer"
        case .untrusted(let error): error.subject
        case .notExecutable(let path): path.string
        }
    }

    public var problem: String {
        switch self {
        case .missing: "the helper that freezes is not there"
        case .untrusted(let error): error.problem
        case .notExecutable: "the helper that freezes is not executable"
        }
    }

    public var remedy: String? {
        switch self {
        case .missing(let candidates): "Install it as \(candidates.map(\.string).joined(separator: " or "))."
        case .untrusted(let error): error.remedy
        case .notExecutable(let path): "Run: chmod 755 \(path)"
        }
    }
}
