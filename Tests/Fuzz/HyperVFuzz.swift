import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

@testable import Channels

/// What comes through the Hyper-V device: whole messages from the driver, any pieces from a stand-in.
struct HyperVFuzz: ParserFuzz {
    static let name = "hyperv"
    static let sources = [
        "Channels/HyperV/HyperVMessage.swift", "Channels/ChannelMailbox.swift",
        "Channels/HyperV/HyperVDevice.swift", "Channels/HyperV/HyperVChannel.swift",
        "Channels/HyperV/HyperVChannelLoop.swift",
    ]

    private let terminal: (master: FileDescriptor, device: FilePath)
    /// Keeps the pty's input alive from one input to the next.
    private let keptOpen: FileDescriptor

    init() throws {
        terminal = try RawTerminal.makePair()
        keptOpen = try openDescriptor(
            terminal.device, .readWrite, options: [.nonBlocking, FileDescriptor.OpenOptions(rawValue: O_NOCTTY)])
    }

    /// The version, then messages; or anything else.
    func makeInput(_ random: inout SplitMix64) -> FuzzInput {
        var bytes = random.oneIn(8) ? random.bytes(random.below(9)) : HyperVVersion.current.bytes
        let isValid = random.oneIn(2) && bytes == HyperVVersion.current.bytes
        for _ in 0..<random.below(5) {
            let operation = random.one(of: HyperVOperation.known + [HyperVOperation(rawValue: random.byte())])
            let message = HyperVMessage(operation: operation, flags: UInt32(truncatingIfNeeded: random.next()))
                .bytes
            bytes += message
            if !isValid, random.oneIn(4) { bytes += random.bytes(random.below(16)) }
            if !isValid, random.oneIn(6) { bytes[random.below(bytes.count)] = random.byte() }
        }
        return FuzzInput(bytes, isValid: isValid)
    }

    func check(_ input: FuzzInput) throws -> Verdict {
        let bytes = input.bytes
        try checkMessage(bytes)
        var random = SplitMix64(of: bytes)
        if random.oneIn(8) { try checkStandIn(bytes, &random) }
        let packets =
            input.isValid ? Self.packets(bytes) : random.cut(bytes, atMost: random.one(of: [12, 16, 300]))
        var session = try HyperVSession(&random)
        return try session.run(input.isValid || random.oneIn(2) ? Self.packets(bytes) : packets)
    }

    /// As the driver gives them.
    private static func packets(_ bytes: [UInt8]) -> [[UInt8]] {
        var packets = [Array(bytes.prefix(HyperVVersion.length))]
        var rest = bytes.dropFirst(HyperVVersion.length)
        while !rest.isEmpty {
            packets.append(Array(rest.prefix(HyperVMessage.length)))
            rest = rest.dropFirst(HyperVMessage.length)
        }
        return packets.filter { !$0.isEmpty }
    }

    // MARK: Messages

    private func checkMessage(_ bytes: [UInt8]) throws {
        let version = try? HyperVVersion(bytes)
        try require((version != nil) == (bytes.count == 4), "a version of \(bytes.count) bytes")
        if let version { try require(version.bytes == bytes, "a version does not come back") }
        let whole = try? HyperVMessage(bytes)
        try require((whole != nil) == (bytes.count == 12), "a message of \(bytes.count) bytes")
        guard bytes.count >= 16, let message = try? HyperVMessage(Array(bytes[4..<16])) else { return }
        let again = HyperVMessage(operation: message.operation, flags: message.flags)
        try require(
            again.operation == message.operation && again.flags == message.flags, "a message does not come back")
        for status in [HyperVStatus.success, .failure] {
            let answer = message.answered(with: status)
            try require(
                answer.status == status && answer.bytes[4...] == message.bytes[4...], "an answer is another")
            try require(![.register, .oldRegister].contains(answer.operation), "an answer is a registration")
            try require(!answer.status.description.isEmpty && !message.operation.description.isEmpty, "no name")
        }
    }

    /// A stand-in may split and merge messages: the same ones come out.
    private func checkStandIn(_ bytes: [UInt8], _ random: inout SplitMix64) throws {
        var device = try HyperVDevice(path: terminal.device, opening: SystemDeviceOpening())
        defer { device.close() }
        var messages: [[UInt8]] = []
        for piece in random.cut(bytes, atMost: random.one(of: [1, 5, 12, 30, 200])) {
            try writeAll(piece, to: terminal.master)
            try waitForInput(piece.count, of: device)
            try require(try device.hasInput(), "there is input, but not for the device")
            try device.readMore(expecting: HyperVMessage.length)
            while random.oneIn(2), let message = device.takeBytes(HyperVMessage.length) {
                messages.append(message)
            }
        }
        while let message = device.takeBytes(HyperVMessage.length) { messages.append(message) }
        let whole = bytes.count / HyperVMessage.length * HyperVMessage.length
        try require(Array(messages.joined()) == Array(bytes[..<whole]), "the messages depend on how they are cut")
        try require((device.partialSince != nil) == (whole < bytes.count), "half a message or none")
        try require(device.hasLeftovers == (whole < bytes.count), "leftovers or none")
    }

    /// A pty hands what is written to the other end by a thread of the kernel.
    private func waitForInput(_ count: Int, of device: HyperVDevice) throws {
        let deadline = Moment.now + .seconds(5)
        var available: CInt = 0
        while available != CInt(count) {
            let status = ioctl(device.descriptor.rawValue, UInt(FIONREAD), &available)
            try require(status == 0 && Moment.now < deadline, "the pty has \(available) of \(count) bytes")
            sched_yield()
        }
    }
}
