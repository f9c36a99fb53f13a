import Configuration
import FreezeCore
import FreezerProtocol
import LinuxCalls
import SystemPackage

/// The run directory is, or can be made, private and in memory, and has room.
enum RunDirectoryCheck {
    static let name = "run_directory"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        let path = subject.configuration.paths.run
        do throws(LedgerError) {
            _ = try RunDirectory(path, creating: false)
            if let obstacle = RoomToWrite.obstacle(in: path) { return [unwritable(path, obstacle)] }
            return [Finding(name, .ok, "\(path.escaped) is in memory and root's alone.")]
        } catch {
            guard error.isMissingDirectory else { return [Finding(name, .error, error)] }
            return [missing(path)]
        }
    }

    /// Each request begins with a new ledger.
    private static func unwritable(_ path: FilePath, _ error: Errno) -> Finding {
        Finding(
            name, .error, "No ledger can be made in \(path.escaped): \(error).",
            nextStep: "Free some space there, and see that it is mounted read-write.")
    }

    /// The daemon makes it, but not the directories above.
    private static func missing(_ path: FilePath) -> Finding {
        let parent = path.removingLastComponent()
        let isInMemory: Bool
        do throws(Errno) {
            isInMemory = try parent.isOnMemoryFilesystem()
        } catch {
            return Finding(
                name, .error, "\(path.escaped) cannot be made: \(parent.escaped): \(error).",
                nextStep: "Make \(parent.escaped), or set paths.run to a directory under /run.")
        }
        guard isInMemory else {
            return Finding(
                name, .error, "\(path.escaped) would not be on a tmpfs, so it could be frozen itself.",
                nextStep: "Set paths.run to a directory under /run.")
        }
        return Finding(name, .ok, "\(path.escaped) is not there yet: quiesced makes it.")
    }
}
