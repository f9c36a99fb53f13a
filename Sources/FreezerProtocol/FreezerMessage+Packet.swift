import FreezeCore
import SystemPackage

/// Packets are an array of 64-bit little-endian numbers: a kind, then its fields in order. Both ends are built
/// together and run on one machine, so there are no versions.
extension FreezerCommand {
    public var packet: [UInt8] {
        switch self {
        case .prepare(let request, let count): encode(1, Int64(request.number), Int64(count))
        case .descriptors(let first): encode(2, Int64(first))
        case .freeze(let step, let freezeDeadline, let windowDeadline):
            encode(3, Int64(step), freezeDeadline.nanoseconds, windowDeadline.nanoseconds)
        case .thaw: encode(4)
        case .release: encode(5)
        }
    }

    /// Nil if the packet is none of these.
    public init?(packet: [UInt8]) {
        guard let fields = decode(packet) else { return nil }
        switch (fields.first, fields.count) {
        case (1, 3) where fields[2] >= 0:
            self = .prepare(FreezerRequestID(number: Int(fields[1])), superblockCount: Int(fields[2]))
        case (2, 2) where fields[1] >= 0: self = .descriptors(firstIndex: Int(fields[1]))
        case (3, 4):
            self = .freeze(
                step: Int(fields[1]), freezeDeadline: Moment(nanoseconds: fields[2]),
                windowDeadline: Moment(nanoseconds: fields[3]))
        case (4, 1): self = .thaw
        case (5, 1): self = .release
        default: return nil
        }
    }
}

extension FreezerReport {
    public var packet: [UInt8] {
        encode(Int64(request.number), and: news.fields)
    }

    /// Nil if the packet is none of these.
    public init?(packet: [UInt8]) {
        guard let number = decode(packet)?.first, let news = FreezerNews(packet: Array(packet.dropFirst(8)))
        else { return nil }
        self.init(FreezerRequestID(number: Int(number)), news)
    }
}

extension FreezerNews {
    /// The kind, and up to four more.
    fileprivate var fields: (count: Int, fields: InlineArray<5, Int64>) {
        switch self {
        case .ready: (1, [1, 0, 0, 0, 0])
        case .prepared: (1, [2, 0, 0, 0, 0])
        case .prepareFailed(let error): (2, [3, Int64(error.rawValue), 0, 0, 0])
        case .froze(let index, let error, let started, let ended):
            (5, [4, Int64(index), Int64(error?.rawValue ?? 0), started.nanoseconds, ended.nanoseconds])
        case .thawing(let cause): (2, [5, Int64(cause.rawValue), 0, 0, 0])
        case .thawed(let index, let error, let started, let ended):
            (5, [6, Int64(index), Int64(error?.rawValue ?? 0), started.nanoseconds, ended.nanoseconds])
        case .thawFinished: (1, [7, 0, 0, 0, 0])
        case .released: (1, [8, 0, 0, 0, 0])
        }
    }

    fileprivate init?(packet: [UInt8]) {
        guard let fields = decode(packet) else { return nil }
        switch (fields.first, fields.count) {
        case (1, 1): self = .ready
        case (2, 1): self = .prepared
        case (3, 2):
            guard let error = CInt(exactly: fields[1]) else { return nil }
            self = .prepareFailed(Errno(rawValue: error))
        case (4, 5) where fields[1] >= 0:
            guard let error = CInt(exactly: fields[2]) else { return nil }
            self = .froze(
                index: Int(fields[1]), error: errno(error), started: Moment(nanoseconds: fields[3]),
                ended: Moment(nanoseconds: fields[4]))
        case (5, 2):
            guard let cause = UInt8(exactly: fields[1]).flatMap(ThawCause.init) else { return nil }
            self = .thawing(cause)
        case (6, 5) where fields[1] >= 0:
            guard let error = CInt(exactly: fields[2]) else { return nil }
            self = .thawed(
                index: Int(fields[1]), error: errno(error), started: Moment(nanoseconds: fields[3]),
                ended: Moment(nanoseconds: fields[4]))
        case (7, 1): self = .thawFinished
        case (8, 1): self = .released
        default: return nil
        }
    }
}

private func encode(_ fields: Int64...) -> [UInt8] {
    var packet: [UInt8] = []
    packet.reserveCapacity(fields.count * 8)
    for field in fields { append(field, to: &packet) }
    return packet
}

/// With a single allocation: the freezer reports in the window.
private func encode(_ first: Int64, and others: (count: Int, fields: InlineArray<5, Int64>)) -> [UInt8] {
    var packet: [UInt8] = []
    packet.reserveCapacity((others.count + 1) * 8)
    append(first, to: &packet)
    for index in 0..<others.count { append(others.fields[index], to: &packet) }
    return packet
}

private func append(_ field: Int64, to packet: inout [UInt8]) {
    withUnsafeBytes(of: field.littleEndian) { packet.append(contentsOf: $0) }
}

private func decode(_ packet: [UInt8]) -> [Int64]? {
    guard packet.count % 8 == 0 else { return nil }
    return stride(from: 0, to: packet.count, by: 8).map { start in
        Int64(bitPattern: packet[start..<(start + 8)].reversed().reduce(0) { $0 << 8 | UInt64($1) })
    }
}

/// Zero is success.
private func errno(_ field: CInt) -> Errno? {
    field == 0 ? nil : Errno(rawValue: field)
}
