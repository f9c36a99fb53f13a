import FoundationEssentials
import FreezeCore
import Glibc

/// A point in time of the calendar, in UTC. In JSON an RFC 3339 string with milliseconds:
/// `2026-11-21T10:36:45.123Z`.
public struct WallTime: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    public let milliseconds: Int64

    public init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

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
        let (seconds, fraction) = floorDivide(milliseconds, by: 1000)
        let date = Date(timeIntervalSince1970: Double(seconds)).formatted(Self.format)
        let digits = String(fraction)
        return date.dropLast() + "." + String(repeating: "0", count: 3 - digits.count) + digits + "Z"
    }

    public static func < (left: WallTime, right: WallTime) -> Bool {
        left.milliseconds < right.milliseconds
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

/// Tells the wall time of a moment, from one pair of both taken together.
///
/// So the times of one record are right relative to each other even if the wall clock was set meanwhile.
public struct WallClock: Hashable, Sendable {
    public let moment: Moment
    public let wallTime: WallTime

    public init(moment: Moment, wallTime: WallTime) {
        self.moment = moment
        self.wallTime = wallTime
    }

    /// Reads CLOCK_BOOTTIME and CLOCK_REALTIME (`clock_gettime(2)`).
    public static func current() -> WallClock {
        WallClock(
            moment: read(CLOCK_BOOTTIME),
            wallTime: WallTime(milliseconds: read(CLOCK_REALTIME).nanoseconds / 1_000_000))
    }

    public func wallTime(of other: Moment) -> WallTime {
        let (whole, _) = floorDivide((other - moment).nanoseconds, by: 1_000_000)
        return WallTime(milliseconds: wallTime.milliseconds + whole)
    }

    private static func read(_ clock: clockid_t) -> Moment {
        var time = timespec()
        clock_gettime(clock, &time)
        return Moment(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }
}

private func floorDivide(_ dividend: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
    let (quotient, remainder) = dividend.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
}
