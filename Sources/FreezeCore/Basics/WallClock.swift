/// A point in time of the calendar, in UTC.
public struct WallTime: Hashable, Comparable, Sendable {
    /// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    public let milliseconds: Int64

    public init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    public static func < (left: WallTime, right: WallTime) -> Bool {
        left.milliseconds < right.milliseconds
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

    public func wallTime(of other: Moment) -> WallTime {
        let difference = (other - moment).nanoseconds
        let (quotient, remainder) = difference.quotientAndRemainder(dividingBy: 1_000_000)
        return WallTime(milliseconds: wallTime.milliseconds + (remainder < 0 ? quotient - 1 : quotient))
    }

    /// The same clocks, read at another moment.
    public func at(_ other: Moment) -> WallClock {
        WallClock(moment: other, wallTime: wallTime(of: other))
    }
}
