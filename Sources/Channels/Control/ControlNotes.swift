import FreezeCore
import LinuxCalls
import Synchronization
import Varlink

/// The notes of the server as log records, at most one of each kind a minute: clients can cause many notes, and could
/// flood the log.
final class ControlNotes: Sendable {
    private static let pause = Duration.seconds(60)

    /// The channel, for the log.
    private let name: String
    private let log: @Sendable (LogNote) -> Void
    private let lastTold = Mutex<[String: Moment]>([:])

    init(_ name: String, log: @escaping @Sendable (LogNote) -> Void) {
        self.name = name
        self.log = log
    }

    func report(_ note: VarlinkServerNote) {
        guard let (kind, text) = Self.words(note) else { return }
        report(kind, text)
    }

    /// - Parameter kind: At most one note of each kind is logged in a minute.
    func report(_ kind: String, _ text: @autoclosure () -> String) {
        let now = Moment.now
        let isDue = lastTold.withLock { lastTold in
            if let last = lastTold[kind], now - last < Self.pause { return false }
            lastTold[kind] = now
            return true
        }
        if isDue { log(LogNote(.warning, "\(name): \(text())")) }
    }

    /// Nil for a note without a need for an admin: an idle client, or a client that made room for another.
    private static func words(_ note: VarlinkServerNote) -> (kind: String, text: String)? {
        switch note {
        case .deniedUser(let peer):
            ("denied", "\(name(peer)) was refused: only root may connect")
        case .malformedCall(let peer):
            ("malformed", "\(name(peer)) sent something that is no Varlink call, and was cut off")
        case .slowReader(let peer):
            ("slow", "\(name(peer)) does not read what it asked for, and was cut off")
        case .full(let peer):
            ("full", "\(name(peer)) was turned away: too many connections wait for an answer")
        case .cannotAccept(let error):
            ("accept", "no connection can be accepted: \(error.map { "\($0)" } ?? "unknown error")")
        case .idle, .madeRoom:
            nil
        }
    }

    private static func name(_ peer: VarlinkPeer) -> String {
        switch peer {
        case .process(let process, let user):
            user == 0 ? "process \(process)" : "process \(process) of user \(user)"
        case .machine(let contextID): "the machine with the context id \(contextID)"
        }
    }
}
