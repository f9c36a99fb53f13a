import Glibc
import LinuxCalls
import SystemPackage

/// systemd, as a service with `Type=notify` sees it: a socket that takes what the service says of itself.
final class NotificationListener {
    /// What `NOTIFY_SOCKET` is to be.
    let address: String
    private let descriptor: FileDescriptor

    /// - Parameter address: A path, or `@` and an abstract name.
    init(at address: String) throws {
        self.address = address
        descriptor = try bindDatagramSocket(at: address)
    }

    deinit {
        try? descriptor.close()
        unlink(address)
    }

    /// The next message; nil if none comes in time.
    func next(within limit: Duration = .seconds(10)) throws -> String? {
        guard pollOne(descriptor, events: .readable, atMost: limit).contains(.readable) else { return nil }
        return String(decoding: try readOnce(descriptor, atMost: 4096), as: UTF8.self)
    }
}

/// A Unix datagram socket, which is a file of its own kind as well, unless its name begins with `@` (unix(7)).
func bindDatagramSocket(at address: String) throws -> FileDescriptor {
    let descriptor = FileDescriptor(
        rawValue: socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
    guard descriptor.rawValue >= 0 else { throw Errno(rawValue: errno) }
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(address.utf8)
    if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
    let start = MemoryLayout.size(ofValue: name) - MemoryLayout.size(ofValue: name.sun_path)
    withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: bytes) }
    let isBound = withUnsafePointer(to: &name) { name in
        name.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor.rawValue, $0, socklen_t(start + bytes.count)) == 0
        }
    }
    guard isBound else { throw Errno(rawValue: errno) }
    return descriptor
}
