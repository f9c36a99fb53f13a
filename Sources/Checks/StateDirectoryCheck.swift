import Configuration
import FreezeCore
import Glibc
import SystemPackage

/// The history can be written.
enum StateDirectoryCheck {
    static let name = "state_directory"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        let path = subject.configuration.paths.state
        if let error = accessError(path) {
            return error == .noSuchFileOrDirectory ? [missing(path)] : [notWritable(path, error)]
        }
        return [Finding(name, .ok, "\(path.escaped) can be written.")]
    }

    /// The daemon makes it, but not the directories above.
    private static func missing(_ path: FilePath) -> Finding {
        let parent = path.removingLastComponent()
        if let error = accessError(parent) { return notWritable(parent, error) }
        return Finding(name, .ok, "\(path.escaped) is not there yet: quiesced makes it.")
    }

    private static func notWritable(_ path: FilePath, _ error: Errno) -> Finding {
        Finding(
            name, .warning, "No history can be kept: \(path.escaped): \(error).",
            nextStep: "Set paths.state to a directory that can be written.")
    }

    /// Nil if it is a directory that can be written to. (For root access(2) tells of a read-only filesystem.)
    private static func accessError(_ path: FilePath) -> Errno? {
        var status = stat()
        guard stat(path.string, &status) == 0 else { return Errno(rawValue: errno) }
        guard status.st_mode & S_IFMT == S_IFDIR else { return .notDirectory }
        return access(path.string, W_OK | X_OK) == 0 ? nil : Errno(rawValue: errno)
    }
}
