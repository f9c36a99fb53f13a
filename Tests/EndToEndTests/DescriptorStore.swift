import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// systemd's file descriptor store (sd_pid_notify_with_fds(3)): keeps the guest agent port open from one daemon to the
/// next.
final class DescriptorStore: Sendable {
    /// For `NOTIFY_SOCKET`.
    let address: String
    private struct State {
        var stored: FileDescriptor?
        /// Messages with FDSTORE=1.
        var storeCount = 0
        /// systemd keeps a second descriptor of the same name, too, up to FileDescriptorStoreMax=.
        var isStoredTwice = false
        /// Messages with STOPPING=1.
        var stopCount = 0

        mutating func replace(by descriptor: FileDescriptor?) {
            try? stored?.close()
            stored = descriptor
        }
    }

    private let state: Monitor<State>
    private let socket: PacketSocket
    private let end: WakeUp

    /// - Parameter device: The first stored descriptor leads to the device; nil for an empty store.
    init(at address: String, holding device: FilePath?) throws {
        self.address = address
        let noControllingTerminal = FileDescriptor.OpenOptions(rawValue: O_NOCTTY)
        let stored = try device.map {
            try FileDescriptor.open($0, .readWrite, options: [.closeOnExec, noControllingTerminal])
        }
        state = Monitor(State(stored: stored))
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
        try? descriptor?.close()
        unlink(address)
    }

    private func take(_ message: String, _ descriptors: [FileDescriptor]) {
        let lines = message.split(separator: "\n")
        state.update { state in
            if lines.contains("FDSTORE=1") {
                state.storeCount += 1
                if state.stored != nil { state.isStoredTwice = true }
                state.replace(by: descriptors.first)
            }
            if lines.contains("FDSTOREREMOVE=1") { state.replace(by: nil) }
            if lines.contains("STOPPING=1") { state.stopCount += 1 }
        }
    }

    /// For the next daemon; nil without a stored descriptor.
    var descriptor: FileDescriptor? { state.update(\.stored) }

    var stopCount: Int { state.update(\.stopCount) }

    /// The number of times that a daemon has stored the port, up to the stop of the daemon: messages arrive in order.
    ///
    /// - Throws: When a daemon stored its port in addition to a kept one.
    func storeCount(untilStop number: Int) throws -> Int {
        let reached = state.wait(until: .now + .seconds(10)) { $0.stopCount >= number ? $0 : nil }
        guard let reached else { throw Failure(description: "no STOPPING=1 from the daemon") }
        guard !reached.isStoredTwice else { throw Failure(description: "the daemon stored its port twice") }
        return reached.storeCount
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }
}
