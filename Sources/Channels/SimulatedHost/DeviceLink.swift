import Glibc
import LinuxCalls
import SystemPackage

/// The symbolic link that gives the simulated device a path chosen beforehand.
enum DeviceLink {
    /// Makes the link. One to a pty is what a killed simulator left behind: it is replaced.
    static func make(_ path: FilePath, to terminal: FilePath) throws(ChannelError) {
        let occupied = ChannelError(
            .deviceUnusable, subject: path.string, problem: "there is something at this path already",
            remedy: "Choose another path, or remove it")
        var error = symlink(terminal.string, path.string) == 0 ? 0 : errno
        if error == EEXIST {
            guard let target = try? readSymbolicLink(path), target.starts(with: "/dev/pts") else { throw occupied }
            unlink(path.string)
            error = symlink(terminal.string, path.string) == 0 ? 0 : errno
        }
        guard error == 0 else {
            throw ChannelError(
                .systemCall, subject: path.string,
                problem: "the link to \(terminal) cannot be made: \(Errno(rawValue: error))",
                remedy: "Choose a path in a directory that you may write to",
                underlyingError: Errno(rawValue: error))
        }
    }

    /// Removes the link unless it leads elsewhere by now.
    static func remove(_ path: FilePath, to terminal: FilePath) {
        guard (try? readSymbolicLink(path)) == terminal else { return }
        unlink(path.string)
    }
}
