import Glibc
import LinuxCalls
import SystemPackage

/// The socket for notifications to systemd (sd_notify(3)).
///
/// sd_notify looks the socket's path up for each message. In the window no path is looked up (P7), and the watchdog
/// has to hear of us then, too: so this one is connected once, and kept.
final class NotificationSocket: Sendable {
    private let descriptor: FileDescriptor

    /// - Parameter address: `NOTIFY_SOCKET`: a path, or `@` and an abstract name.
    /// - Throws: ENAMETOOLONG; ENOENT or ECONNREFUSED without a listener; EAFNOSUPPORT for another kind of socket.
    init(_ address: String) throws(Errno) {
        let target: LocalSocketAddress
        switch address.first {
        case "/": target = try LocalSocketAddress(path: FilePath(address))
        case "@": target = try LocalSocketAddress(abstractName: String(address.dropFirst()))
        default: throw .addressFamilyNotSupported
        }
        descriptor = try .localSocket(SOCK_DGRAM)
        // From here on `deinit` closes the descriptor, also after an error.
        if let error = target.connect(descriptor) { throw error }
    }

    deinit {
        try? descriptor.close()
    }

    /// Never blocks. What systemd has no room for, or does not want to hear, is dropped: it is said again, or has been
    /// overtaken by then.
    func send(_ message: String) {
        let bytes = Array(message.utf8)
        _ = Glibc.send(
            descriptor.rawValue, bytes, bytes.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
    }

    /// The same, with a descriptor.
    func send(_ message: String, _ other: FileDescriptor) {
        try? descriptor.send(Array(message.utf8), with: other)
    }
}
