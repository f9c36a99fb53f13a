import FreezeCore
import Glibc
import SystemPackage
import Testing

@testable import LinuxCalls

/// The connection between daemon and freezer, and the descriptors that it carries.
@Suite struct PacketSocketTests {
    private let near: PacketSocket
    private let far: PacketSocket

    init() throws {
        let (near, other) = try PacketSocket.pair()
        self.near = near
        far = PacketSocket(owning: other)
    }

    private func inode(_ descriptor: FileDescriptor) throws -> ino_t {
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
        return status.st_ino
    }

    @Test func `more descriptors than one packet holds come in several, in order`() throws {
        let scratch = try LedgerScratch()
        let sent = try (0..<300).map { index in
            try openDescriptor(
                scratch.path.appending("\(index)"), .readWrite, options: .create, permissions: .ownerReadWrite)
        }
        defer { for descriptor in sent { try? descriptor.close() } }
        let most = PacketSocket.maximumDescriptors
        #expect(most == 253)
        #expect(throws: Errno.invalidArgument) { try near.send([1], descriptors: Array(sent[...most])) }
        try near.send([1], descriptors: Array(sent[..<most]))
        try near.send([2], descriptors: Array(sent[most...]))
        try near.send([3])
        var received: [FileDescriptor] = []
        defer { for descriptor in received { try? descriptor.close() } }
        for expected in [most, 300 - most, 0] {
            let (_, descriptors) = try #require(try far.receive())
            #expect(descriptors.count == expected)
            received += descriptors
        }
        #expect(try received.map(inode) == sent.map(inode))
        #expect(received.allSatisfy { fcntl($0.rawValue, F_GETFD) & FD_CLOEXEC != 0 })
    }

    @Test func `packets keep their bounds, and none is no packet`() throws {
        #expect(throws: Errno.wouldBlock) { try far.receive() }
        try near.send([1, 2, 3])
        try near.send([4])
        #expect(try far.receive()?.packet == [1, 2, 3])
        #expect(try far.receive()?.packet == [4])
        #expect(throws: Errno.wouldBlock) { try far.receive() }
    }

    @Test func `a peer that does not read does not block`() throws {
        let error = #expect(throws: Errno.self) {
            for _ in 0..<100_000 { try near.send([UInt8](repeating: 0, count: 4096)) }
        }
        #expect(error == .wouldBlock)
    }

    @Test func `a packet that is too large is refused and what it carries closed`() throws {
        let pipe = try FileDescriptor.pipe()
        defer { try? pipe.readEnd.close() }
        try near.send([UInt8](repeating: 0, count: PacketSocket.maximumPacket + 1), descriptors: [pipe.writeEnd])
        try pipe.writeEnd.close()
        #expect(throws: Errno.messageTooLong) { try far.receive() }
        #expect(pollOne(pipe.readEnd, events: .readable, atMost: .zero).contains(.hangUp))
    }

    @Test func `the end of the connection is told, also with packets unread`() throws {
        var (here, there): (PacketSocket?, FileDescriptor) = try PacketSocket.pair()
        let peer = PacketSocket(owning: there)
        try here?.send([7])
        try peer.send([8])
        here = nil
        // Linux tells of the unread packet (ECONNRESET) before what was sent to us, or after it.
        let first = try peer.receive()?.packet
        #expect(first == [7] || first == nil)
        #expect(try peer.receive() == nil || first == nil)
        #expect(throws: Errno.brokenPipe) { try peer.send([9]) }
    }
}
