import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import Synchronization
import SystemPackage

@testable import Channels

/// One life of the Hyper-V channel: the driver's end is ours, and each packet that is sent is one message.
struct HyperVSession {
    private static let patience = Duration.seconds(5)

    private let driver: FileDescriptor
    private let channel: HyperVChannel
    private let events = Monitor<[ChannelEvent]>([])
    private var random: SplitMix64
    /// Whether we are so slow that nothing is waited for.
    private let isSlow: Bool

    init(_ random: inout SplitMix64) throws {
        var ends: [CInt] = [0, 0]
        guard socketpair(AF_UNIX, CInt(SOCK_SEQPACKET.rawValue), 0, &ends) == 0 else {
            throw Errno(rawValue: errno)
        }
        driver = FileDescriptor(rawValue: ends[0])
        var outcomes: [Result<FileDescriptor, Errno>] = [.success(FileDescriptor(rawValue: ends[1]))]
        if random.oneIn(20) {
            let errors: [Errno] = [
                .resourceBusy, .noSuchFileOrDirectory, .badFileDescriptor, .permissionDenied, .ioError,
            ]
            outcomes.insert(.failure(random.one(of: errors)), at: 0)
        }
        self.random = SplitMix64(seed: random.next())
        isSlow = random.oneIn(500)
        let most: Duration = isSlow ? .milliseconds(2) : Self.patience
        let limits = HyperVChannelLimits(
            freezeAge: most, otherAge: most, handshake: isSlow ? .milliseconds(20) : most, partialMessage: most,
            firstRetry: .milliseconds(1), longestRetry: .milliseconds(50))
        channel = try HyperVChannel(
            device: "/dev/vmbus/hv_vss", isRequired: random.oneIn(2), limits: limits,
            opening: FuzzedDevice(outcomes)
        ) { [events] event in events.update { $0.append(event) } }
    }

    /// Plays the packets: the version first, then messages.
    mutating func run(_ packets: [[UInt8]]) throws -> Verdict {
        try channel.start()
        defer { try? driver.close() }
        let verdict = try play(packets)
        channel.stop()
        try require(channel.waitUntilEnded(.now + Self.patience), "the channel does not stop")
        return verdict
    }

    private mutating func play(_ packets: [[UInt8]]) throws -> Verdict {
        try require(try receive() == HyperVMessage.registration.bytes, "it does not register")
        guard let version = packets.first, !(isSlow && random.oneIn(2)) else {
            if isSlow { try expectClosed() }
            return .refused
        }
        try send(version)
        guard version.count == HyperVVersion.length else {
            try expectClosed()
            return .refused
        }
        guard case .registered(isStandIn: false) = try nextEvent() else {
            throw BrokenPromise("it is not registered")
        }
        for (index, packet) in packets.enumerated().dropFirst() {
            try send(packet)
            guard let message = try? HyperVMessage(packet) else {
                try expectLost()
                return .refused
            }
            guard try exchange(message, next: index + 1 < packets.count ? packets[index + 1] : nil) else { break }
        }
        return packets.count > 1 ? .accepted : .refused
    }

    /// Has one message answered, or lost in one of the ways in which that can be.
    ///
    /// - Returns: False when the device is lost with it.
    private mutating func exchange(_ message: HyperVMessage, next: [UInt8]?) throws -> Bool {
        guard HyperVOperation.known.contains(message.operation) else {
            try require(
                try receive() == message.answered(with: .success).bytes, "an unknown operation is not answered")
            return true
        }
        let operation = try operation(of: message)
        if isSlow {
            try expectLost()
            return false
        }
        switch random.below(12) {
        case 0:
            try send(next ?? message.bytes)
            if random.oneIn(2) { channel.answer(operation, .success) }
            try expectLost()
            return false
        case 1:
            try driver.shutDown()
            guard case .lost = try nextEvent() else {
                throw BrokenPromise("a driver that goes away is not noticed")
            }
            return false
        case 2:
            channel.answer(operation, .success, before: .now)
            try expectLost()
            return false
        case 3: channel.answer(OperationID(number: .max), .success)
        default: break
        }
        let isSuccess = random.oneIn(2)
        let verdict: OperationAnswer = isSuccess ? .success : .failure
        let status: HyperVStatus = isSuccess ? .success : .failure
        channel.answer(operation, verdict)
        let answer = message.answered(with: status)
        try require(try receive() == answer.bytes, "the answer is not the message with the status in it")
        return true
    }

    private func operation(of message: HyperVMessage) throws -> OperationID {
        switch (try nextEvent(), message.operation) {
        case (.hotBackup(let id), .hotBackup), (.freeze(let id, _), .freeze), (.thaw(let id, _), .thaw): return id
        case (let event, let operation): throw BrokenPromise("\(operation) became \(event)")
        }
    }

    // MARK: Both ends

    private func send(_ packet: [UInt8]) throws { try writeOnce(packet, to: driver) }

    private func receive() throws -> [UInt8] {
        let isThere = !pollOne(driver, events: .readable, atMost: Self.patience).isEmpty
        try require(isThere, "nothing is written to the device")
        return try readOnce(driver, atMost: 256)
    }

    private func nextEvent() throws -> ChannelEvent {
        let event = events.wait(until: .now + Self.patience) { events -> ChannelEvent? in
            events.removeAll { if case .note = $0 { true } else { false } }
            return events.isEmpty ? nil : events.removeFirst()
        }
        guard let event else { throw BrokenPromise("the channel says nothing") }
        return event
    }

    private func expectLost() throws {
        guard case .lost = try nextEvent() else { throw BrokenPromise("it is not lost") }
        try expectClosed()
    }

    /// And nothing was answered before.
    private func expectClosed() throws {
        do throws(Errno) {
            guard try readOnce(driver, atMost: 256).isEmpty else { throw .invalidArgument }
        } catch {
            try require(error == .connectionReset, "it is answered, and then lost")
        }
    }
}

extension FileDescriptor {
    /// The driver's end of the device goes away.
    fileprivate func shutDown() throws {
        guard shutdown(rawValue, CInt(SHUT_RDWR)) == 0 else { throw Errno(rawValue: errno) }
    }
}

/// Any device at all, behind the seam at which it is opened.
private final class FuzzedDevice: HyperVDeviceOpening {
    private let outcomes: Mutex<[Result<FileDescriptor, Errno>]>

    /// - Parameter outcomes: What opening it gives, one after the other; then there is no such device any more.
    init(_ outcomes: [Result<FileDescriptor, Errno>]) {
        self.outcomes = Mutex(outcomes)
    }

    func age(of device: FilePath) -> Duration? { nil }

    func open(_ device: FilePath) throws(Errno) -> FileDescriptor {
        let outcome = outcomes.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        return try (outcome ?? .failure(.noSuchFileOrDirectory)).get()
    }

    func holders(of device: FilePath) -> [DeviceHolder] { [] }
}
