import Glibc
import SystemPackage

/// The socket on which systemd listens for what a service says of itself (sd_notify(3)).
///
/// sd_notify looks the socket's path up for each message. In the window no path is looked up (P7), and the watchdog
/// has to hear of us then, too: so this one is connected once, and kept.
final class NotificationSocket: Sendable {
    private let descriptor: FileDescriptor

    /// - Parameter address: `NOTIFY_SOCKET`: a path, or `@` and an abstract name.
    /// - Throws: ENAMETOOLONG, ENOENT or ECONNREFUSED if nobody listens there, EAFNOSUPPORT if it is no Unix socket.
    init(_ address: String) throws(Errno) {
        guard address.hasPrefix("/") || address.hasPrefix("@") else { throw .addressFamilyNotSupported }
        let type = CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
        let number = socket(AF_UNIX, type, 0)
        guard number >= 0 else { throw Errno(rawValue: errno) }
        // From here on `deinit` closes it, also if this throws.
        descriptor = FileDescriptor(rawValue: number)
        try connect(address)
    }

    deinit {
        try? descriptor.close()
    }

    private func connect(_ address: String) throws(Errno) {
        var name = Array(address.utf8)
        if name[0] == UInt8(ascii: "@") { name[0] = 0 }
        var target = sockaddr_un()
        target.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: target.sun_path)
        guard name.count < room else { throw .fileNameTooLong }
        withUnsafeMutableBytes(of: &target.sun_path) { $0.copyBytes(from: name) }
        // An abstract name is as long as it is said to be; a path ends at its zero.
        let length = socklen_t(MemoryLayout<sockaddr_un>.size - room + name.count)
        let result = withUnsafePointer(to: &target) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor.rawValue, $0, length)
            }
        }
        guard result == 0 else { throw Errno(rawValue: errno) }
    }

    /// Never blocks. What systemd has no room for, or does not want to hear, is dropped: it is said again, or has been
    /// overtaken by then.
    func send(_ message: String) {
        let bytes = Array(message.utf8)
        _ = Glibc.send(
            descriptor.rawValue, bytes, bytes.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
    }
}
