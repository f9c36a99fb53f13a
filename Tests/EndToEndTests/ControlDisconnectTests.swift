import ControlProtocol
import Foundation
import History
import LinuxCalls
import SystemPackage
import Testing

/// Who goes away in any state of a request leaves nothing behind: no window, no descriptor, no subscription.
///
/// The daemon is stopped when it says that it has entered a state; only the state in which it then really stands counts.
/// It is told of the end of the connection when it goes on.
extension EndToEnd {
    @Suite struct ControlDisconnectTests {
        /// Who goes away.
        enum Leaver: String, CaseIterable, Sendable, CustomTestStringConvertible {
            case caller, holder, subscriber

            var testDescription: String { rawValue }
        }

        private static let states: [ControlState] = [
            .planning, .flushing, .freezeHooks, .flushingAgain, .checking, .freezing, .verifying, .frozen,
            .thawing,
            .thawHooks,
        ]
        /// Some states last for less than the stop takes.
        private static let maximumAttempts = 200

        @Test(arguments: Leaver.allCases)
        func `P1 who goes away in any state of a request leaves nothing behind`(leaver: Leaver) throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig(hooks: ["10-note": "echo $1 $QUIESCE_RESULT >> $TRACE"])
            try rig.waitForSocket()
            let watcher = try StateWatcher(of: rig)
            _ = try rig.status()
            let daemon = rig.daemon.processIdentifier
            let descriptors = try ProcessStatus.settled(of: daemon)
            let before = try ProcessStatus.openFiles(of: daemon)

            var requests = 0
            var hits: [ControlState: Int] = [:]
            for state in Self.states {
                var attempts = 0
                while hits[state] == nil, attempts < Self.maximumAttempts {
                    attempts += 1
                    requests += 1
                    let hit = try leave(in: state, as: leaver, rig, watcher)
                    hits[hit, default: 0] += 1
                    expectOutcome(of: leaver, leaving: hit, try rig.record(number: requests))
                    try rig.waitUntilReleased()
                }
                print("MEASURED: \(leaver.rawValue) gone in \(state.words): hit after \(attempts) attempts")
            }
            #expect(
                Set(Self.states).isSubset(of: hits.keys), "not hit: \(Set(Self.states).subtracting(hits.keys))")
            let counts = Self.states.map { "\($0.words) \(hits[$0] ?? 0)" }.joined(separator: ", ")
            print("MEASURED: \(leaver.rawValue) gone in \(requests) requests: \(counts)")

            let isAsBefore = try ProcessStatus.waitForDescriptors(descriptors, of: daemon)
            let after = try ProcessStatus.openFiles(of: daemon)
            #expect(isAsBefore, "\(after.difference(from: before))")
            try expectNoSubscriptionLeft(rig)
            try rig.expectHealthy(freezing: [filesystem.mountPoint])
            #expect(try rig.stop() == .exited(0))
            try filesystem.remove()
        }

        /// One request, from which the leaver goes away.
        ///
        /// - Returns: The state in which the daemon stood meanwhile.
        private func leave(
            in state: ControlState, as leaver: Leaver, _ rig: DaemonRig, _ watcher: StateWatcher
        ) throws -> ControlState {
            var client: RawClient? = try RawClient(rig.socket)
            var subscriber: RawClient?
            if leaver == .subscriber {
                subscriber = try RawClient(rig.socket)
                try subscriber?.send(#"{"method":"org.quiesce.Control1.Monitor","more":true}"#)
                _ = try subscriber?.nextMessage()
            }
            let hold = leaver == .holder ? #","parameters":{"hold":true}"# : ""
            try client?.send(#"{"method":"org.quiesce.Control1.Freeze"\#(hold)}"#)
            let isAfterFreeze = state == .thawing || state == .thawHooks
            if isAfterFreeze {
                #expect(try client?.receive().error == nil)
                try client?.send(#"{"method":"org.quiesce.Control1.Thaw"}"#)
            }
            let hit = try watcher.stop(in: state)
            if leaver == .subscriber { subscriber = nil } else { client = nil }
            watcher.resume()
            try end(isAfterFreeze, leaver, client, rig, after: hit, watcher)
            return hit
        }

        /// Lets the request come to its end, for those who are still there.
        private func end(
            _ isAfterFreeze: Bool, _ leaver: Leaver, _ client: RawClient?, _ rig: DaemonRig,
            after hit: ControlState, _ watcher: StateWatcher
        ) throws {
            if leaver != .holder, !isAfterFreeze {
                if let client {
                    #expect(try client.receive().error == nil)
                } else if hit != .frozen {
                    try watcher.wait(for: .frozen)
                }
                // What was asked by hand belongs to nobody.
                let other = try RawClient(rig.socket)
                try other.send(#"{"method":"org.quiesce.Control1.Thaw"}"#)
                #expect(try other.receive().error == nil)
            }
            if hit != .idle { try watcher.wait(for: .idle) }
        }

        private func expectOutcome(of leaver: Leaver, leaving state: ControlState, _ record: HistoryRecord) {
            switch (leaver, state) {
            case (.holder, .thawHooks), (.holder, .idle):
                // It had been told that everything is thawed, and its window whole.
                #expect(record.result == .succeeded, "\(state): \(record.reason ?? "")")
            case (.holder, .thawing):
                // It had asked, and may have been told: then all is well.
                #expect(record.result == .succeeded || record.reason?.contains("connection") == true)
            case (.holder, _):
                #expect(record.result == .failed, "\(state)")
                #expect(record.reason?.contains("connection") == true, "\(state): \(record.reason ?? "")")
            case (.caller, _), (.subscriber, _):
                #expect(record.result == .succeeded, "\(state): \(record.reason ?? "")")
            }
        }

        /// There may be 32 subscriptions; one is the watcher's.
        private func expectNoSubscriptionLeft(_ rig: DaemonRig) throws {
            let clients = try (0..<31).map { _ in try RawClient(rig.socket) }
            for client in clients {
                try client.send(#"{"method":"org.quiesce.Control1.Monitor","more":true}"#)
                #expect(try client.receive().error == nil)
            }
        }
    }
}
