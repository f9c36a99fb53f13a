import FreezeCore
import SystemPackage

/// What can be wrong with the history's file.
public struct HistoryError: ActionableError {
    public enum Code: Sendable, Hashable {
        case directoryUnusable
        case unreadable
        /// There is no such record.
        case noRecord
        case notWritten
        /// The record is stored, but the file could not be made shorter.
        case notTrimmed
    }

    public let code: Code
    public let subject: String
    public let problem: String
    public let remedy: String?
    public let underlyingError: Errno?

    init(_ code: Code, _ path: FilePath, _ problem: String, remedy: String? = nil, underlyingError: Errno? = nil) {
        self.code = code
        self.subject = path.escaped
        self.problem = underlyingError.map { "\(problem) (\($0))" } ?? problem
        self.remedy = remedy
        self.underlyingError = underlyingError
    }

    /// There is no record of the request, or, for nil, of any.
    public static func missing(_ requestID: String?, in path: FilePath) -> HistoryError {
        if let requestID {
            return HistoryError(
                .noRecord, path,
                "there is no request \(escapedControlCharacters(requestID)); old ones are dropped",
                remedy: "Run `quiescectl show` without an id for the last one.")
        }
        return HistoryError(
            .noRecord, path, "no request has been recorded yet",
            remedy: "Run a first backup, or rehearse one with `quiescectl simulate-host`.")
    }

    /// What helps against an errno of opening, reading or writing the file.
    static func remedy(for error: Errno, _ path: FilePath) -> String {
        switch error {
        case .noSpace, .diskQuotaExceeded:
            "Free some space on its filesystem."
        case .tooManySymbolicLinkLevels:
            "It is a symbolic link, which is not followed: replace it by a file, or set `paths.state` to where it points."
        case .isDirectory:
            "It is a directory: move it away."
        case .permissionDenied, .notPermitted:
            "Run this as root."
        case .readOnlyFileSystem:
            "Its filesystem is read-only: remount it, or set `paths.state` to a directory that can be written."
        case .ioError, Errno(rawValue: 117):
            "Look at the kernel's log for errors of its device."
        case .noSuchFileOrDirectory, .notDirectory:
            "Make the directory above it, or set `paths.state` to another one."
        default:
            "Check `paths.state` in the configuration, and the file."
        }
    }
}
