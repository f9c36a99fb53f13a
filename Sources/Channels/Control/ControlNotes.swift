import FreezeCore
import LinuxCalls
import Synchronization
import Varlink

/// What the server wants noted, as log records: clients can make it come often, and a log that fills up hides what
/// matters. So each kind is told once a minute at most.
final class ControlNotes: Sendable {
    private static let pause = Duration.seconds(60)

    private let log: @Sendable (LogNote) -> Void
    private let lastTold = Mutex<[String: Moment]>([:])

    init(log: @escaping @Sendable (LogNote) -> Void) {
        self.log = log
    }

    func report(_ note: VarlinkServerNote) {
        guard let (kind, text) = Self.words(note) else { return }
        let now = Moment.now
        let isDue = lastTold.withLock { lastTold in
            if let last = lastTold[kind], now - last < Self.pause { return false }
            lastTold[kind] = now
            return true
        }
        if isDue { log(LogNote(.warning, "control socket: \(text)")) }
    }

    /// Nil for what needs no admin: a client that was idle, or made room for another.
    private static func words(_ note: VarlinkServerNote) -> (kind: String, text: String)? {
        switch note {
        case .deniedUser(let peer):
            ("denied", "process \(peer.processID) of user \(peer.userID) was refused: only root may connect")
        case .malformedCall(let peer):
            ("malformed", "process \(peer.processID) sent something that is no Varlink call, and was cut off")
        case .slowReader(let peer):
            ("slow", "process \(peer.processID) does not read what it asked for, and was cut off")
        case .full(let peer):
            ("full", "process \(peer.processID) was turned away: too many connections wait for an answer")
        case .cannotAccept(let error):
            ("accept", "no connection can be accepted: \(error.map { "\($0)" } ?? "unknown error")")
        case .idle, .madeRoom:
            nil
        }
    }
}
