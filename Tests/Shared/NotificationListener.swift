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
    let name =
        try address.hasPrefix("@")
        ? LocalSocketAddress(abstractName: String(address.dropFirst()))
        : LocalSocketAddress(path: FilePath(address))
    let descriptor = try FileDescriptor.localSocket(SOCK_DGRAM, isBlocking: true)
    if let error = name.bind(descriptor) { throw error }
    return descriptor
}
