import CLinux
import FreezeCore
import Glibc
import SystemPackage

/// The address of a local socket (unix(7)): a path, or an abstract name.
public struct LocalSocketAddress: Sendable {
    private let address: sockaddr_un
    private let length: socklen_t

    /// - Throws: ENAMETOOLONG if the path has more than 107 bytes.
    public init(path: FilePath) throws(Errno) {
        (address, _) = try Self.address(path.bytes)
        // A path ends with a zero.
        length = socklen_t(MemoryLayout<sockaddr_un>.size)
    }

    /// - Throws: ENAMETOOLONG if the name has more than 106 bytes.
    public init(abstractName: String) throws(Errno) {
        // An abstract name ends with the address.
        (address, length) = try Self.address([0] + Array(abstractName.utf8))
    }

    private static func address(_ name: [UInt8]) throws(Errno) -> (sockaddr_un, socklen_t) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard name.count < room else { throw .fileNameTooLong }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        return (address, socklen_t(MemoryLayout<sockaddr_un>.size - room + name.count))
    }

    /// Binds a socket to the address (bind(2)).
    ///
    /// - Returns: The error; nil for success.
    public func bind(_ socket: FileDescriptor) -> Errno? {
        call { Glibc.bind(socket.rawValue, $0, $1) }
    }

    /// Connects a socket to the address (connect(2)).
    ///
    /// - Returns: The error; nil for success.
    public func connect(_ socket: FileDescriptor) -> Errno? {
        call { Glibc.connect(socket.rawValue, $0, $1) }
    }

    private func call(_ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> Errno? {
        withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, length) == 0 ? nil : Errno(rawValue: errno)
            }
        }
    }
}

extension FileDescriptor {
    /// A new local socket (socket(2)), close-on-exec.
    ///
    /// - Parameter kind: SOCK_STREAM or SOCK_DGRAM.
    /// - Throws: EMFILE, ENFILE or ENOMEM.
    public static func localSocket(_ kind: __socket_type, isBlocking: Bool = false) throws(Errno) -> FileDescriptor
    {
        let flags = SOCK_CLOEXEC.rawValue | (isBlocking ? 0 : SOCK_NONBLOCK.rawValue)
        let number = socket(AF_UNIX, CInt(kind.rawValue | flags), 0)
        guard number >= 0 else { throw Errno(rawValue: errno) }
        return FileDescriptor(rawValue: number)
    }

    /// Sends a message, and a descriptor with the message (unix(7): SCM_RIGHTS). Does not block.
    ///
    /// - Throws: EAGAIN when the peer does not read, ECONNREFUSED when the peer is gone.
    public func send(_ message: [UInt8], with other: FileDescriptor) throws(Errno) {
        var number = other.rawValue
        try Errno.check(clinux_send(rawValue, message, message.count, &number, 1))
    }
}
