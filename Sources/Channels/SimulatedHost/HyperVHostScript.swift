import FreezeCore

/// One thing the simulated host does.
public enum HyperVHostStep: Hashable, Sendable {
    case operation(HyperVOperation)
    /// Does nothing for so long: between FREEZE and THAW, the time the snapshot takes.
    case hold(Duration)
}

/// What the simulated host does, in order: `HOT_BACKUP,FREEZE,hold=2s,THAW`.
public struct HyperVHostScript: Hashable, Sendable {
    public let steps: [HyperVHostStep]

    /// Reads steps separated by commas: `HOT_BACKUP`, `FREEZE`, `THAW`, `hold=DURATION` (see `DurationText`), and
    /// `OP=NUMBER` (0 to 255) for operations that no host knows. Blanks and case do not matter.
    ///
    /// - Throws: `.invalidStep`, with the step and what is wrong with it.
    public init(parsing text: String) throws(ChannelError) {
        var steps: [HyperVHostStep] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            steps.append(try Self.step(String(part.filter { !$0.isWhitespace })))
        }
        self.steps = steps
    }

    public init(_ steps: [HyperVHostStep]) {
        self.steps = steps
    }

    private static func step(_ text: String) throws(ChannelError) -> HyperVHostStep {
        let parts = text.lowercased().split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let value = parts.count == 2 ? String(parts[1]) : nil
        switch (parts.first.map(String.init) ?? "", value) {
        case ("", nil): throw invalid(text, "an empty step", "Write no comma at the ends, and no two in a row")
        case ("hold", let value?): return .hold(try duration(value, in: text))
        case ("op", let value?):
            guard let code = UInt8(value) else {
                throw invalid(text, "an operation is a number from 0 to 255", "Write it as in OP=9")
            }
            return .operation(HyperVOperation(rawValue: code))
        case (let name, nil):
            if let operation = HyperVOperation.known.first(where: { $0.description.lowercased() == name }) {
                return .operation(operation)
            }
        case (_, _?): break
        }
        throw invalid(text, "no such step", "Steps are HOT_BACKUP, FREEZE, THAW, hold=2s, and OP=9")
    }

    private static func duration(_ text: String, in step: String) throws(ChannelError) -> Duration {
        do throws(DurationText.ParseError) {
            return try DurationText.parse(text)
        } catch {
            throw invalid(step, "\(error.subject): \(error.problem)", error.remedy)
        }
    }

    private static func invalid(_ step: String, _ problem: String, _ remedy: String?) -> ChannelError {
        ChannelError(.invalidStep, subject: "\"\(step)\"", problem: problem, remedy: remedy)
    }
}
