import FreezeCore
import SystemPackage

/// Why the daemon cannot start.
struct StartError: ActionableError {
    let subject: String
    let problem: String
    let remedy: String?

    /// What runs besides the requests: channels, their clients, and hooks.
    static let fewestDescriptors = 128

    static func tooFewDescriptors(_ errno: Errno) -> StartError {
        StartError(
            subject: "quiesced", problem: "it may not have \(fewestDescriptors) files open at a time: \(errno)",
            remedy: "Set LimitNOFILE= of the service, or ulimit -n, to 1024 or more; each filesystem takes one.")
    }

    static func noSignals(_ errno: Errno) -> StartError {
        StartError(
            subject: "quiesced", problem: "it cannot take the signals that end it: \(errno)",
            remedy: "Raise LimitNOFILE= and TasksMax= of the service.")
    }

    static func ownPathUnknown(_ errno: Errno) -> StartError {
        StartError(
            subject: "/proc/self/exe", problem: "it cannot be read, to find the freezer beside quiesced: \(errno)",
            remedy: "Mount /proc: mount -t proc proc /proc")
    }
}
