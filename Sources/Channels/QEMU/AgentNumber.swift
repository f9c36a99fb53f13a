/// The last part of a JSON number so far.
enum AgentNumber {
    case minus, zero, digits, point, fraction, exponent, exponentSign, exponentDigits

    /// Nil if no number begins with the byte.
    init?(first byte: UInt8) {
        switch byte {
        case UInt8(ascii: "-"): self = .minus
        case UInt8(ascii: "0"): self = .zero
        case UInt8(ascii: "1")...UInt8(ascii: "9"): self = .digits
        default: return nil
        }
    }

    var isComplete: Bool {
        switch self {
        case .zero, .digits, .fraction, .exponentDigits: true
        case .minus, .point, .exponent, .exponentSign: false
        }
    }

    /// Nil if the byte does not continue the number.
    func next(_ byte: UInt8) -> AgentNumber? {
        switch (self, byte) {
        case (.minus, UInt8(ascii: "0")): .zero
        case (.minus, UInt8(ascii: "1")...UInt8(ascii: "9")), (.digits, decimalDigits): .digits
        case (.zero, UInt8(ascii: ".")), (.digits, UInt8(ascii: ".")): .point
        case (.point, decimalDigits), (.fraction, decimalDigits): .fraction
        case (.digits, UInt8(ascii: "e")), (.digits, UInt8(ascii: "E")), (.fraction, UInt8(ascii: "e")),
            (.fraction, UInt8(ascii: "E")):
            .exponent
        case (.exponent, UInt8(ascii: "+")), (.exponent, UInt8(ascii: "-")): .exponentSign
        case (.exponent, decimalDigits), (.exponentSign, decimalDigits), (.exponentDigits, decimalDigits):
            .exponentDigits
        default: nil
        }
    }
}

let decimalDigits = UInt8(ascii: "0")...UInt8(ascii: "9")
