import ControlProtocol
import FreezeCore
import Glibc
import LinuxCalls
import Presentation
import SystemPackage

/// Tells on standard error how a request goes on: on a terminal with a last line that says what it is waiting for,
/// elsewhere as plain lines.
///
/// Where standard error is a file, nothing is written in the window: the file may be on a filesystem that is frozen,
/// and then whoever writes to it cannot thaw.
struct ProgressPrinter {
    private let isTerminal: Bool
    private let isFile: Bool
    private var held: [String] = []
    private var isWindowOpen = false
    /// What is waited for, and since when.
    private var activity: (text: String, since: Moment)?
    private var isActivityShown = false
    /// A command that is waited for in vain, and when that was told last.
    private var waiting: (command: String, told: Moment)?

    /// Between two lines that say what is waited for.
    private static let waitingPause = Duration.seconds(30)

    init() {
        isTerminal = isatty(STDERR_FILENO) == 1
        var status = stat()
        isFile = fstat(STDERR_FILENO, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    mutating func show(_ event: ControlEvent) {
        if let state = event.state {
            isWindowOpen = [.freezing, .verifying, .frozen, .thawing].contains(state)
            if waiting == nil { activity = Self.waiting(for: state).map { ($0, Moment.now) } }
        }
        if waiting != nil {
            // The command is what the end is waited for.
        } else if event.kind == .hookStarted, let hook = event.hook, let phase = event.phase {
            activity = (escapedControlCharacters("hook \(phase) \(hook)"), Moment.now)
        } else if event.kind == .hookEnded {
            activity = nil
        }
        if let line = ProgressLine(event)?.text { write(line) } else { refresh() }
        if !isWindowOpen { releaseHeld() }
    }

    /// Something else is written to standard error.
    mutating func interrupt(_ write: () -> Void) {
        eraseActivity()
        write()
        refresh()
    }

    /// Tells that a command goes on although its window has ended; and, elsewhere than on a terminal, tells it again from
    /// time to time.
    mutating func wait(for command: String, _ reason: String) {
        write(ProgressLine.text("lost", "\(reason); waiting for \(command)"))
        waiting = (command, Moment.now)
        activity = ("waiting for \(command)", Moment.now)
        refresh()
    }

    mutating func stopWaiting() {
        waiting = nil
        activity = nil
        eraseActivity()
    }

    /// Shows how long the present step takes; on a terminal only, but for a command that is waited for.
    mutating func refresh() {
        if !isTerminal, let (command, told) = waiting, Moment.now - told >= Self.waitingPause {
            waiting?.told = Moment.now
            write(ProgressLine.text("lost", "still waiting for \(command)"))
        }
        guard isTerminal, let activity else { return }
        let seconds = (Moment.now - activity.since).components.seconds
        let text = seconds < 2 ? "\(activity.text) …" : "\(activity.text) … \(seconds) s"
        put("\r\u{1B}[K" + text.prefix(columns: TextLayout.width - 1))
        isActivityShown = true
    }

    /// Nothing more comes.
    mutating func end() {
        activity = nil
        eraseActivity()
        releaseHeld()
    }

    private mutating func write(_ line: String) {
        if isFile && isWindowOpen { return held.append(line) }
        eraseActivity()
        let lines = isTerminal ? ProgressLine.lines(of: line) : [line]
        for line in lines { put(line + "\n") }
        refresh()
    }

    private mutating func releaseHeld() {
        for line in held { put(line + "\n") }
        held = []
    }

    private mutating func eraseActivity() {
        if isActivityShown { put("\r\u{1B}[K") }
        isActivityShown = false
    }

    private func put(_ text: some StringProtocol) {
        // If standard error is gone there is nobody left to tell.
        try? writeAll(Array(text.utf8), to: .standardError)
    }

    private static func waiting(for state: ControlState) -> String? {
        switch state {
        case .planning: "planning"
        case .flushing, .flushingAgain, .flushingLast: "flushing"
        case .freezing: "freezing"
        case .thawing: "thawing"
        case .releasing: "releasing session hooks"
        case .recovering, .idle, .freezeHooks, .checking, .sessionHooks, .verifying, .frozen, .rehearsing,
            .holding, .thawHooks, .stopped:
            nil
        }
    }
}

/// One thing that has happened, as a line.
struct ProgressLine {
    /// Where the name of what it is about begins.
    static let indentation = 12

    let text: String

    /// Nil for what is no news.
    init?(_ event: ControlEvent) {
        let name = event.mountPoint ?? event.hook ?? ""
        let duration = event.duration.map { readableDuration(milliseconds: $0) } ?? ""
        let outcome = event.problem ?? (event.skipped == true ? "skipped, \(duration)" : duration)
        switch event.kind {
        case .planned:
            let counts = "\(event.freeze ?? 0) to freeze, \(event.sync ?? 0) to sync, \(event.skip ?? 0) to skip"
            let hooks = event.hooks ?? []
            self.init("planned", counts, hooks.isEmpty ? "no hooks" : "hooks: " + hooks.joined(separator: ", "))
        case .flushed: self.init("flushed", name, outcome)
        case .hookEnded: self.init("hook \(event.phase ?? "")", name, outcome)
        case .froze: self.init(event.problem == nil ? "frozen" : "not frozen", name, outcome)
        case .thawed: self.init(event.problem == nil ? "thawed" : "not thawed", name, outcome)
        // The command tells why, with its last words.
        case .failed, .state, .hookStarted, .finished: return nil
        }
    }

    /// The text as a terminal takes it: what is too long goes on below its name.
    static func lines(of text: String) -> [String] {
        guard text.displayWidth > TextLayout.width else { return [text] }
        let rest = text.dropFirst(indentation).wrapped(to: TextLayout.width - indentation)
        let indent = String(repeating: " ", count: indentation)
        return rest.enumerated().map { ($0 == 0 ? text.prefix(indentation) : indent[...]) + $1 }
    }

    private init(_ what: String, _ name: String, _ outcome: String) {
        text = Self.text(what, outcome.isEmpty ? name : name.padded(to: 32) + "  " + outcome)
    }

    /// A line as all are.
    static func text(_ what: String, _ rest: String) -> String {
        escapedControlCharacters(what.padded(to: indentation) + rest)
    }
}
