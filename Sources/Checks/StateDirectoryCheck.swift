import Configuration
import FreezeCore
import LinuxCalls
import SystemPackage

/// The history can be written.
enum StateDirectoryCheck {
    static let name = "state_directory"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        let path = subject.configuration.paths.state
        if let error = RoomToWrite.obstacle(in: path) {
            return error == .noSuchFileOrDirectory ? [missing(path)] : [notWritable(path, error)]
        }
        return [Finding(name, .ok, "\(path.escaped) can be written.")]
    }

    /// The daemon makes it, but not the directories above.
    private static func missing(_ path: FilePath) -> Finding {
        let parent = path.removingLastComponent()
        if let error = RoomToWrite.obstacle(in: parent) { return notWritable(parent, error) }
        return Finding(name, .ok, "\(path.escaped) is not there yet: quiesced makes it.")
    }

    private static func notWritable(_ path: FilePath, _ error: Errno) -> Finding {
        Finding(
            name, .warning, "No history can be kept: \(path.escaped): \(error).",
            nextStep: "Free some space, or set paths.state to a directory that can be written.")
    }
}
