import Channels
import FreezeCore
import Glibc
import History
import LinuxCalls
import Presentation
import SystemPackage

/// Does the simulated host's steps and says what came of each, in columns of at most 80 characters.
struct SimulateHostReport {
    private static let layout = TextColumns([.init(12), .init(10), .init(40), .init(12, .right)])

    private let host: HyperVHostSimulator
    /// How many of the host's events have been told.
    private var told = 0
    private(set) var answers: [HyperVHostAnswer] = []
    private var hasHeading = false
    private let isQuiet: Bool

    /// - Parameter isQuiet: Prints nothing.
    init(_ host: HyperVHostSimulator, isQuiet: Bool) {
        self.host = host
        self.isQuiet = isQuiet
    }

    var everythingSucceeded: Bool { answers.allSatisfy { $0.status == .success } }

    func introduce() throws {
        if isQuiet { return }
        try printText(
            """
            The stand-in for the Hyper-V device is \(host.devicePath)
            Put this into a configuration file, and start the daemon with that:

                [hyperv]
                enabled = true
                device = "\(host.devicePath)"

                quiesced --config FILE

            It freezes for real: `quiescectl plan --config FILE` says what.


            """)
    }

    mutating func perform(_ operation: HyperVOperation) throws {
        try tellNews()
        let time = Self.wallClock()
        let notice = WaitingNotice { [isQuiet] in
            if isQuiet { return }
            try? printLines(Self.layout.lines([Self.wallClock(), "\(operation)", "waiting for the answer …"]))
        }
        defer { notice.end() }
        let answer = try host.perform(operation)
        answers.append(answer)
        try row(
            time, "\(operation)", Self.text(answer), readableDuration(milliseconds: answer.duration.milliseconds))
        try tellNews()
    }

    mutating func hold(_ duration: Duration) throws {
        let time = Self.wallClock()
        let end = Moment.now + duration
        try row(time, "hold", "", readableDuration(milliseconds: duration.milliseconds))
        while host.waitForEvents(told + 1, until: end) { try tellNews() }
    }

    func summarize() throws {
        let outcomes = [
            (answers.count { $0.status == .success }, "OK"),
            (answers.count { $0.status != .success && $0.isAnswered }, "failed"),
            (answers.count { !$0.isAnswered }, "without an answer"),
        ]
        let parts = outcomes.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        let operations = counted(answers.count, "operation")
        try say(["", operations + (parts.isEmpty ? "" : ": ") + parts.joined(separator: ", ")])
    }

    /// Says what the daemon did on its own: came, went, or wrote when nothing was asked.
    private mutating func tellNews() throws {
        let events = host.events
        for event in events.dropFirst(told) {
            switch event {
            case .registered: try row(Self.wallClock(), "", "the daemon has registered", "")
            case .departed: try row(Self.wallClock(), "", "the daemon has closed the device", "")
            case .unexpected(let message):
                try row(Self.wallClock(), "", "an answer nobody waits for: \(message.status)", "")
            // Told with their operation.
            case .answered, .timedOut: break
            }
        }
        told = events.count
    }

    private func say(_ lines: [String]) throws {
        if !isQuiet { try printLines(lines) }
    }

    private mutating func row(_ time: String, _ operation: String, _ answer: String, _ duration: String) throws {
        if !hasHeading { try say(Self.layout.lines(["TIME", "OPERATION", "ANSWER", "DURATION"])) }
        hasHeading = true
        try say(Self.layout.lines([time, operation, answer, duration]))
    }
}

// MARK: - Wording

extension SimulateHostReport {
    private static func text(_ answer: HyperVHostAnswer) -> String {
        switch answer.outcome {
        case .answered(let message): message.status == .success ? "OK" : "\(message.status)"
        case .timedOut: "no answer (timeout)"
        case .notRegistered: "no answer (no daemon)"
        case .departed: "no answer (device closed)"
        }
    }

    /// Local time to the millisecond, as in the journal.
    private static func wallClock() -> String {
        let milliseconds = Int(WallClock.current().wallTime.milliseconds)
        var seconds = time_t(milliseconds / 1000)
        var local = tm()
        localtime_r(&seconds, &local)
        func digits(_ number: Int, _ width: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        let clock = [local.tm_hour, local.tm_min, local.tm_sec].map { digits(Int($0), 2) }.joined(separator: ":")
        return clock + "." + digits(milliseconds % 1000, 3)
    }
}

extension HyperVHostAnswer {
    fileprivate var isAnswered: Bool {
        if case .answered = outcome { true } else { false }
    }
}
