/// Durations as the admin writes them, in the configuration and on the command line, and as messages repeat them.
///
/// Whole numbers, each with a unit: `500ms`, `10s`, `2m`, `1h`. Several may follow each other from the larger
/// unit to the smaller, each unit at most once, without blanks: `1m30s`. A bare number is an error, because one
/// agent's seconds are another's milliseconds (velero #2599); so are zero and anything negative, because no
/// timeout here can sensibly be switched off.
public enum DurationText {
    /// Why a text is no duration.
    public struct ParseError: ActionableError, Hashable {
        public let subject: String
        public let problem: String
        public let remedy: String?
    }

    /// Longer than anything a host waits for; keeps every sum far from overflow.
    static let longest = Duration.seconds(24 * 60 * 60)

    private static let units: [(name: String, milliseconds: Int64)] = [
        ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1),
    ]
    private static let remedy = "Write a whole number and a unit (ms, s, m or h), such as \"10s\" or \"1m30s\""

    /// - Throws: `ParseError` with what is wrong and what to write.
    public static func parse(_ text: String) throws(ParseError) -> Duration {
        func error(_ problem: String, _ remedy: String = remedy) -> ParseError {
            ParseError(subject: "\"\(escapedControlCharacters(text))\"", problem: problem, remedy: remedy)
        }
        var rest = Substring(text)
        var total: Int64 = 0
        var nextUnit = 0
        if rest.isEmpty { throw error("it is not a duration") }
        if rest.hasPrefix("-") { throw error("it is negative") }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isWholeNumber }
            rest = rest.dropFirst(digits.count)
            let unitName = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unitName.count)
            guard !digits.isEmpty else { throw error("it is not a duration") }
            guard !unitName.isEmpty || !rest.isEmpty else {
                throw error("it has no unit")
            }
            guard let unit = units.firstIndex(where: { $0.name == unitName }), unit >= nextUnit else {
                throw error("it is not a duration")
            }
            nextUnit = unit + 1
            guard let count = Int64(digits), count <= longest.nanoseconds / 1_000_000 / units[unit].milliseconds
            else {
                throw error("it is too long", "Write at most \"24h\"")
            }
            total += count * units[unit].milliseconds
        }
        guard total > 0 else { throw error("it is zero", "Write a duration above zero") }
        let duration = Duration.milliseconds(total)
        guard duration <= longest else {
            throw error("it is too long", "Write at most \"24h\"")
        }
        return duration
    }

    /// The way an admin would write it: one unit, the largest that gives a whole number of two or more (`60s`, but
    /// `2m`). Parsed again it is the same duration, to the millisecond.
    public static func text(_ duration: Duration) -> String {
        let milliseconds = duration.nanoseconds / 1_000_000
        let whole = units.filter { milliseconds % $0.milliseconds == 0 }
        let unit =
            whole.first { milliseconds / $0.milliseconds >= 2 && $0.name != "ms" }
            ?? whole.first { $0.milliseconds <= 1_000 } ?? ("ms", 1)
        return "\(milliseconds / unit.milliseconds)\(unit.name)"
    }
}
