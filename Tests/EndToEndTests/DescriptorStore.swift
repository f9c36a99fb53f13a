import FreezeCore
import Glibc
import LinuxCalls
import Synchronization
import SystemPackage

/// systemd's file descriptor store (sd_pid_notify_with_fds(3)): keeps the guest agent port open from one daemon to the
/// next.
final class DescriptorStore: Sendable {
    /// For `NOTIFY_SOCKET`.
    let address: String
    private let stored: Mutex<FileDescriptor?>
    private let socket: PacketSocket
    private let end: WakeUp

    /// - Parameter device: The first stored descriptor leads to it.
    init(at address: String, holding device: FilePath) throws {
        self.address = address
        let noControllingTerminal = FileDescriptor.OpenOptions(rawValue: O_NOCTTY)
        stored = Mutex(
            try FileDescriptor.open(device, .readWrite, options: [.closeOnExec, noControllingTerminal]))
        end = try WakeUp()
        socket = PacketSocket(owning: try bindDatagramSocket(at: address))
        try OperatingSystemThread.start("descriptor-store") { [socket, end, weak self] in
            while pollDescriptors([(end.descriptor, .readable), (socket.descriptor, .readable)], until: nil)[0]
                .isEmpty
            {
                do throws(Errno) {
                    guard let (message, descriptors) = try socket.receive() else { continue }
                    self?.take(String(decoding: message, as: UTF8.self), descriptors)
                } catch {
                    // A long status text.
                }
            }
        }
    }

    deinit {
        end.signal()
        stored.withLock { try? $0?.close() }
        unlink(address)
    }

    private func take(_ message: String, _ descriptors: [FileDescriptor]) {
        let lines = message.split(separator: "\n")
        if lines.contains("FDSTORE=1") { replace(by: descriptors.first) }
        if lines.contains("FDSTOREREMOVE=1") { replace(by: nil) }
    }

    private func replace(by descriptor: FileDescriptor?) {
        stored.withLock { stored in
            try? stored?.close()
            stored = descriptor
        }
    }

    /// For the next daemon; nil without a stored descriptor.
    var descriptor: FileDescriptor? { stored.withLock { $0 } }
}
