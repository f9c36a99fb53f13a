import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage

/// The open device: whole messages out of what read(2) gives. Used by one thread.
struct HyperVDevice {
    let path: FilePath
    let descriptor: FileDescriptor
    /// A pty in place of the driver. It may split and merge messages; the driver gives one a read.
    let isStandIn: Bool
    private var received: [UInt8] = []
    /// When the first byte of an unfinished message came.
    private(set) var partialSince: Moment?

    init(path: FilePath, opening: some HyperVDeviceOpening) throws(Errno) {
        self.path = path
        descriptor = try opening.open(path)
        isStandIn = RawTerminal.isTerminal(descriptor)
        guard isStandIn else { return }
        do throws(Errno) {
            try RawTerminal.makeRaw(descriptor)
        } catch {
            try? descriptor.close()
            throw error
        }
        // The driver forgets an unread message when the device is closed (hvt_op_release); a pty keeps it.
        RawTerminal.discardInput(descriptor)
    }

    func close() {
        try? descriptor.close()
    }

    /// Whether something was read that nobody has taken yet.
    var hasLeftovers: Bool { !received.isEmpty }

    /// Whether something has been received that nobody has taken yet, read or unread.
    ///
    /// - Throws: `.deviceUnusable` if the device is going away.
    func hasInput() throws(ChannelError) -> Bool {
        let events = pollOne(descriptor, events: .readable, atMost: .zero)
        return try isReadable(events) || hasLeftovers
    }

    /// What poll(2) said of the descriptor.
    ///
    /// - Throws: `.deviceUnusable` if the driver, or the other end of the stand-in, is going away. POLLIN does not
    ///   count then: unloading the driver waits for us to close.
    func isReadable(_ events: PollEvents) throws(ChannelError) -> Bool {
        guard events.isDisjoint(with: [.hangUp, .error, .invalid]) else {
            throw unusable("the other end hung up")
        }
        return events.contains(.readable)
    }

    /// Reads once; call it only when poll() said that there is something.
    mutating func readMore(expecting length: Int) throws(ChannelError) {
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try readOnce(descriptor, atMost: 256)
        } catch .interrupted, .resourceTemporarilyUnavailable {
            // EINTR, EAGAIN: the message was taken back (the driver was reset meanwhile); poll again.
            return
        } catch {
            throw unusable("reading failed: \(error)", error)
        }
        guard !bytes.isEmpty else { throw unusable("the other end closed it") }
        guard isStandIn || bytes.count == length else {
            throw .malformedMessage("\(path) gave \(bytes.count) bytes where a message has \(length)")
        }
        received += bytes
        markPartial(length)
    }

    /// The next whole message among what was read.
    mutating func takeBytes(_ length: Int) -> [UInt8]? {
        guard received.count >= length else { return nil }
        defer {
            received.removeFirst(length)
            partialSince = nil
            markPartial(HyperVMessage.length)
        }
        return Array(received[..<length])
    }

    private mutating func markPartial(_ length: Int) {
        guard !received.isEmpty, received.count < length else { return partialSince = nil }
        partialSince = partialSince ?? .now
    }

    func write(_ bytes: [UInt8]) throws(ChannelError) {
        do throws(Errno) {
            try writeOnce(bytes, to: descriptor)
        } catch {
            throw unusable("writing failed: \(error)", error)
        }
    }

    func unusable(_ problem: String, _ error: Errno? = nil) -> ChannelError {
        ChannelError(.deviceUnusable, subject: path.string, problem: problem, underlyingError: error)
    }
}
