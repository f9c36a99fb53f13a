/// An operation code of the VSS protocol (`enum hv_vss_op` in `<linux/hyperv.h>`).
public struct HyperVOperation: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt8

    public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// VSS_OP_HOT_BACKUP: may a backup be made?
    public static let hotBackup = HyperVOperation(rawValue: 2)
    /// VSS_OP_FREEZE.
    public static let freeze = HyperVOperation(rawValue: 5)
    /// VSS_OP_THAW.
    public static let thaw = HyperVOperation(rawValue: 6)
    /// VSS_OP_REGISTER: the registration of daemons of old, which expect no reply.
    public static let oldRegister = HyperVOperation(rawValue: 128)
    /// VSS_OP_REGISTER1: the registration that is replied to with a version.
    public static let register = HyperVOperation(rawValue: 129)

    /// The operations that a host sends to user space (drivers/hv/hv_snapshot.c).
    public static let known: [HyperVOperation] = [.hotBackup, .freeze, .thaw]

    public var description: String {
        switch self {
        case .hotBackup: "HOT_BACKUP"
        case .freeze: "FREEZE"
        case .thaw: "THAW"
        case .oldRegister: "REGISTER"
        case .register: "REGISTER1"
        default: "OP=\(rawValue)"
        }
    }
}

/// The outcome of an operation as the host understands it (`<linux/hyperv.h>`).
public struct HyperVStatus: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt32

    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// HV_S_OK.
    public static let success = HyperVStatus(rawValue: 0)
    /// HV_E_FAIL.
    public static let failure = HyperVStatus(rawValue: 0x8000_4005)

    public var description: String {
        switch self {
        case .success: "HV_S_OK"
        case .failure: "HV_E_FAIL"
        default: "0x" + String(rawValue, radix: 16)
        }
    }
}

/// `struct hv_vss_msg` of `<linux/hyperv.h>`: a union of {u8 operation, 7 reserved bytes} and {i32 error}, then u32
/// flags; little-endian. Kept as bytes, because an answer is the message itself with the error written over it.
public struct HyperVMessage: Hashable, Sendable {
    /// Bytes of a message, in both directions.
    public static let length = 12

    public let bytes: [UInt8]

    /// - Throws: `.malformedMessage` unless there are exactly 12 bytes.
    public init(_ bytes: [UInt8]) throws(ChannelError) {
        guard bytes.count == Self.length else {
            throw .malformedMessage(
                "a message of \(bytes.count) bytes came where one has \(Self.length)")
        }
        self.bytes = bytes
    }

    public init(operation: HyperVOperation, flags: UInt32 = 0) {
        bytes = [operation.rawValue] + [UInt8](repeating: 0, count: 7) + flags.littleEndianBytes
    }

    /// What a daemon writes first.
    public static let registration = HyperVMessage(operation: .register)

    public var operation: HyperVOperation { HyperVOperation(rawValue: bytes[0]) }
    public var flags: UInt32 { UInt32(littleEndianBytes: bytes[8..<12]) }
    /// The same place, read as an answer.
    public var status: HyperVStatus { HyperVStatus(rawValue: UInt32(littleEndianBytes: bytes[0..<4])) }

    /// The answer to this message: the same bytes, the first four overwritten.
    public func answered(with status: HyperVStatus) -> HyperVMessage {
        HyperVMessage(unchecked: status.rawValue.littleEndianBytes + bytes[4...])
    }

    private init(unchecked bytes: [UInt8]) {
        self.bytes = bytes
    }
}

/// The driver's reply to a registration: a u32, little-endian. hv_snapshot.c sends VSS_OP_REGISTER1, 129.
public struct HyperVVersion: RawRepresentable, Hashable, Sendable {
    /// Bytes of the reply.
    public static let length = 4

    public let rawValue: UInt32

    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// - Throws: `.malformedMessage` unless there are exactly 4 bytes.
    public init(_ bytes: [UInt8]) throws(ChannelError) {
        guard bytes.count == Self.length else {
            throw .malformedMessage(
                "the reply to the registration has \(bytes.count) bytes where it should have \(Self.length)")
        }
        rawValue = UInt32(littleEndianBytes: bytes[...])
    }

    public static let current = HyperVVersion(rawValue: UInt32(HyperVOperation.register.rawValue))

    public var bytes: [UInt8] { rawValue.littleEndianBytes }
}

extension UInt32 {
    fileprivate init(littleEndianBytes bytes: ArraySlice<UInt8>) {
        self = bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    fileprivate var littleEndianBytes: [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: self >> ($0 * 8)) }
    }
}
