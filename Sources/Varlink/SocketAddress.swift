import Glibc
import SystemPackage

extension FilePath {
    /// Makes a system call (bind(2), connect(2)) with the path as the address of a socket (unix(7)).
    ///
    /// - Returns: What it failed with; nil if it did not.
    /// - Throws: `pathTooLong`.
    func withSocketAddress(
        _ call: (UnsafePointer<sockaddr>, socklen_t) -> CInt
    ) throws(VarlinkError) -> Errno? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let fits = withPlatformString { path in
            withUnsafeMutableBytes(of: &address.sun_path) { field in
                // With its terminating zero.
                guard length < field.count else { return false }
                field.copyMemory(from: UnsafeRawBufferPointer(start: path, count: length))
                return true
            }
        }
        guard fits else {
            throw VarlinkError(
                .pathTooLong, string, "is too long for a socket, which has 107 bytes at most",
                remedy: "Set a shorter path.")
        }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                call(address, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 ? nil : Errno(rawValue: errno)
            }
        }
    }
}

/// A new socket that is close-on-exec and does not block.
func makeSocket() throws(Errno) -> FileDescriptor {
    let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
    let number = socket(AF_UNIX, kind, 0)
    guard number >= 0 else { throw Errno(rawValue: errno) }
    return FileDescriptor(rawValue: number)
}
