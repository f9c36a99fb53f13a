import ControlProtocol
import Foundation
import LinuxCalls
import SystemPackage

/// A subscriber that knows in which state the daemon is, and can have it stand still there.
final class StateWatcher {
    private let client: RawClient
    private let daemon: pid_t

    init(of rig: DaemonRig) throws {
        client = try RawClient(rig.socket)
        daemon = rig.daemon.processIdentifier
        try client.send(#"{"method":"org.quiesce.Control1.Monitor","more":true}"#)
        // The first reply says that the subscription stands.
        _ = try client.nextMessage()
    }

    /// Waits until the daemon has entered a state.
    func wait(for state: ControlState) throws {
        while try nextState() != state {}
    }

    /// Waits until the daemon has entered a state, stops it, and tells in which state it really stands now: it goes on
    /// while it is stopped. `resume` has it go on.
    func stop(in state: ControlState) throws -> ControlState {
        try wait(for: state)
        kill(daemon, SIGSTOP)
        try waitUntilStopped()
        // What it has told until now is all here: what comes last is true.
        var last = state
        while !pollOne(client.descriptor, events: .readable, atMost: .zero).isEmpty {
            last = try nextState() ?? last
        }
        return last
    }

    func resume() { kill(daemon, SIGCONT) }

    /// Nil for an event of another kind.
    private func nextState() throws -> ControlState? {
        struct Reply: Decodable {
            let parameters: MonitorReply
        }
        return try JSONDecoder().decode(Reply.self, from: Data(client.nextMessage())).parameters.event?.state
    }

    /// A thread that flushes stops when its system call returns.
    private func waitUntilStopped() throws {
        try EndToEndTests.wait(for: "the daemon's stop") {
            let tasks = "/proc/\(daemon)/task"
            return try FileManager.default.contentsOfDirectory(atPath: tasks).allSatisfy { task in
                guard let status = try? String(contentsOfFile: "\(tasks)/\(task)/status", encoding: .utf8) else {
                    return true
                }
                return status.contains("State:\tT") || status.contains("State:\tD")
            }
        }
    }
}
