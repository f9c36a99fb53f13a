import Glibc
import LinuxCalls
import SystemPackage

/// A socket that listens at a path which only its owner may connect to, from the first moment on.
struct ListeningSocket: Sendable {
    let path: FilePath
    /// Belongs to whoever uses the socket; does not block.
    let descriptor: FileDescriptor
    private let identity: FileIdentity?

    /// - Throws: If something other than a socket that nobody listens on is at the path, or there can be none.
    init(at path: FilePath) throws(VarlinkError) {
        self.path = path
        guard let address = try? LocalSocketAddress(path: path) else { throw .pathTooLong(path) }
        do {
            descriptor = try .localSocket(SOCK_STREAM)
        } catch {
            throw Self.failure(path, error)
        }
        let number = descriptor.rawValue
        do throws(VarlinkError) {
            // The file that bind(2) makes gets the socket's own mode (net/unix/af_unix.c, unix_bind_bsd).
            guard fchmod(number, 0o600) == 0 else { throw Self.failure(path, Errno(rawValue: errno)) }
            try Self.bind(descriptor, to: address, path)
            // At once: until then the socket looks as if nobody were there.
            guard listen(number, 128) == 0 else { throw Self.failure(path, Errno(rawValue: errno)) }
        } catch {
            try? descriptor.close()
            throw error
        }
        identity = try? FileIdentity(path)
    }

    /// Removes the socket, if it still is this one: somebody may have put another in its place.
    func removeFile() {
        guard let identity, identity == (try? FileIdentity(path)) else { return }
        unlink(path.string)
    }

    private static func bind(
        _ socket: FileDescriptor, to address: LocalSocketAddress, _ path: FilePath
    ) throws(VarlinkError) {
        var error = address.bind(socket)
        if error == .addressInUse {
            try removeLeftover(address, path)
            error = address.bind(socket)
        }
        if let error { throw failure(path, error) }
    }

    /// Removes the socket that a server left when it was killed.
    private static func removeLeftover(_ address: LocalSocketAddress, _ path: FilePath) throws(VarlinkError) {
        var status = stat()
        guard lstat(path.string, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw VarlinkError(
                .occupied, path.string, "is there already, and is no socket",
                remedy: "Remove it, or set another path for the socket.")
        }
        let descriptor: FileDescriptor
        do {
            descriptor = try .localSocket(SOCK_STREAM)
        } catch {
            throw failure(path, error)
        }
        defer { try? descriptor.close() }
        // Anything else, a full queue too (EAGAIN), means that somebody has it.
        guard address.connect(descriptor) == .connectionRefused else {
            throw VarlinkError(
                .inUse, path.string, "another process listens here already",
                remedy: "Stop that process, or set another path for the socket.")
        }
        unlink(path.string)
    }

    private static func failure(_ path: FilePath, _ error: Errno) -> VarlinkError {
        let remedy: String? =
            switch error {
            case .noSuchFileOrDirectory: "Make the directory that it is to be in, or set another path."
            case .notDirectory: "Set a path below a directory."
            case .permissionDenied, .notPermitted: "Run it as root, or set another path."
            default: nil
            }
        return VarlinkError(
            .cannotListen, path.string, "cannot listen here", remedy: remedy, underlyingError: error)
    }
}
