import FreezeCore
import SystemPackage

/// What can be wrong with the run directory or the ledger in it.
public struct LedgerError: ActionableError {
    public enum Code: Sendable, Hashable {
        case runDirectoryUnusable
        case notOnTmpfs
        case inUse
        case unreadable
        case malformed
        /// Something that quiesce did not make.
        case untrusted
        case cannotCreate
    }

    public let code: Code
    public let subject: String
    public let problem: String
    public let remedy: String?
    public let underlyingError: Errno?

    /// Whether there is no run directory, and so no ledger.
    public var isMissingDirectory: Bool {
        code == .runDirectoryUnusable && underlyingError == .noSuchFileOrDirectory
    }

    init(_ code: Code, _ path: FilePath, _ problem: String, remedy: String? = nil, underlyingError: Errno? = nil) {
        self.code = code
        self.subject = path.string
        self.problem = underlyingError.map { "\(problem) (\($0))" } ?? problem
        self.remedy = remedy
        self.underlyingError = underlyingError
    }
}
