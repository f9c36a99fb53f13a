import FoundationEssentials
import FreezeCore

/// In text and JSON: RFC 3339 with milliseconds, `2026-11-21T10:36:45.123Z`.
extension WallTime: CustomStringConvertible {
    /// Whole seconds: a `Date` is a binary fraction, which shows some milliseconds as the one before.
    private static let format = Date.ISO8601FormatStyle()

    /// Reads exactly the form that `description` writes.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let fraction = Int64(parts[1].prefix(3)),
            let date = try? Self.format.parse(parts[0] + "Z")
        else { return nil }
        self.init(milliseconds: Int64(date.timeIntervalSince1970) * 1000 + fraction)
        guard description == String(text) else { return nil }
    }

    public var description: String {
        let (quotient, remainder) = milliseconds.quotientAndRemainder(dividingBy: 1000)
        let (seconds, fraction) = remainder < 0 ? (quotient - 1, remainder + 1000) : (quotient, remainder)
        let date = Date(timeIntervalSince1970: Double(seconds)).formatted(Self.format)
        let digits = String(fraction)
        return date.dropLast() + "." + String(repeating: "0", count: 3 - digits.count) + digits + "Z"
    }
}

extension WallTime: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let time = WallTime(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a time")
        }
        self = time
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
