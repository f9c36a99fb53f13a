import CLinux
import Glibc
import SystemPackage

/// One end of a connection that carries whole packets, and descriptors with them (unix(7): SOCK_SEQPACKET, SCM_RIGHTS).
public final class PacketSocket: Sendable {
    public let descriptor: FileDescriptor
    /// The kernel carries no more with one packet (SCM_MAX_FD, include/net/scm.h).
    public static let maximumDescriptors = 253
    /// Far more than any message of ours, and no more than what is put on the stack.
    static let maximumPacket = 512

    /// Takes the descriptor over, and makes it non-blocking.
    public init(owning descriptor: FileDescriptor) {
        self.descriptor = descriptor
        let flags = fcntl(descriptor.rawValue, F_GETFL)
        _ = fcntl(descriptor.rawValue, F_SETFL, flags | O_NONBLOCK)
        _ = fcntl(descriptor.rawValue, F_SETFD, FD_CLOEXEC)
    }

    deinit {
        try? descriptor.close()
    }

    /// A connected pair. The second end is left blocking and is meant for another process.
    public static func pair() throws(Errno) -> (PacketSocket, FileDescriptor) {
        var ends: [CInt] = [-1, -1]
        try Errno.check(clinux_seqpacket_pair(&ends))
        return (PacketSocket(owning: FileDescriptor(rawValue: ends[0])), FileDescriptor(rawValue: ends[1]))
    }

    /// - Throws: EAGAIN when the peer does not read, EPIPE when it is gone.
    public func send(_ packet: [UInt8], descriptors: [FileDescriptor] = []) throws(Errno) {
        let numbers = descriptors.map(\.rawValue)
        try Errno.check(clinux_send(descriptor.rawValue, packet, packet.count, numbers, numbers.count))
    }

    /// The next packet with its descriptors, which the caller owns; nil at the end of the connection.
    ///
    /// - Throws: EAGAIN when there is none, EMSGSIZE for one that is too large.
    public func receive() throws(Errno) -> (packet: [UInt8], descriptors: [FileDescriptor])? {
        // Nothing is allocated when nothing is there.
        let received = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.maximumPacket) { buffer in
            withUnsafeTemporaryAllocation(of: CInt.self, capacity: Self.maximumDescriptors) { numbers in
                var descriptorCount = 0
                let count = clinux_receive(
                    descriptor.rawValue, buffer.baseAddress, buffer.count, numbers.baseAddress, numbers.count,
                    &descriptorCount)
                let packet = count > 0 ? Array(buffer[..<count]) : []
                return (count, packet, numbers[..<descriptorCount].map(FileDescriptor.init(rawValue:)))
            }
        }
        let (count, packet, descriptors) = received
        do {
            try Errno.check(count)
        } catch Errno.connectionReset {
            return nil
        }
        return count == 0 ? nil : (packet, descriptors)
    }
}
