import ControlProtocol
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// Who goes away in any state of a request leaves nothing behind: no window, no descriptor, no subscription.
///
/// The daemon stands still in the state (`StopPoint`), and is told of the end of the connection when it goes on.
extension EndToEnd {
    @Suite struct ControlDisconnectTests {
        /// Who goes away.
        enum Leaver: String, CaseIterable, Sendable, CustomTestStringConvertible {
            case caller, holder, subscriber

            var testDescription: String { rawValue }
        }

        private static let states: [RequestState] = [
            .planning, .flushing, .freezeHooks, .flushingAgain, .checking, .freezing, .verifying, .frozen,
            .thawing, .thawHooks,
        ]

        @Test(arguments: Leaver.allCases)
        func `P1 who goes away in any state of a request leaves nothing behind`(leaver: Leaver) throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig(hooks: ["10-note": "echo $1 $QUIESCE_RESULT >> $TRACE"], hasStopPoints: true)
            try rig.waitForSocket()
            _ = try rig.status()
            let daemon = rig.daemon.processIdentifier
            try rig.expectHealthy(freezing: [filesystem.mountPoint])
            try rig.waitUntilReleased()
            _ = try ProcessStatus.settled(of: daemon)
            let before = try ProcessStatus.openFiles(of: daemon)

            for (number, state) in Self.states.enumerated() {
                try leave(in: state, as: leaver, rig)
                expectOutcome(of: leaver, leaving: state, try rig.record(number: number + 2))
                try rig.waitUntilReleased()
            }

            try wait(for: "the descriptors there were before: \(before)") {
                try ProcessStatus.openFiles(of: daemon) == before
            }
            try expectNoSubscriptionLeft(rig)
            try rig.expectHealthy(freezing: [filesystem.mountPoint])
            #expect(try rig.stop() == .exited(0))
            try filesystem.remove()
        }

        /// One request, from which the leaver goes away.
        private func leave(in state: RequestState, as leaver: Leaver, _ rig: DaemonRig) throws {
            var client: RawClient? = try RawClient(rig.socket)
            var subscriber: RawClient?
            if leaver == .subscriber {
                subscriber = try RawClient(rig.socket)
                try subscriber?.send(#"{"method":"org.quiesce.Control1.Monitor","more":true}"#)
                _ = try subscriber?.nextMessage()
            }
            let point = "in \(state.rawValue)"
            try rig.arm(point)
            let hold = leaver == .holder ? #","parameters":{"hold":true}"# : ""
            try client?.send(#"{"method":"org.quiesce.Control1.Freeze"\#(hold)}"#)
            let isAfterFreeze = state == .thawing || state == .thawHooks
            if isAfterFreeze {
                #expect(try client?.receive().error == nil)
                try client?.send(#"{"method":"org.quiesce.Control1.Thaw"}"#)
            }
            try rig.waitForStop(of: rig.daemon.processIdentifier, at: point)
            if leaver == .subscriber { subscriber = nil } else { client = nil }
            rig.daemon.send(SIGCONT)
            try end(isAfterFreeze, leaver, client, rig)
        }

        /// Lets the request come to its end, for those who are still there.
        private func end(
            _ isAfterFreeze: Bool, _ leaver: Leaver, _ client: RawClient?, _ rig: DaemonRig
        ) throws {
            if leaver != .holder, !isAfterFreeze {
                if let client { #expect(try client.receive().error == nil) } else { try rig.waitUntil(.frozen) }
                // What was asked by hand belongs to nobody.
                let other = try RawClient(rig.socket)
                try other.send(#"{"method":"org.quiesce.Control1.Thaw"}"#)
                #expect(try other.receive().error == nil)
            }
            try rig.waitUntil(.idle)
        }

        private func expectOutcome(of leaver: Leaver, leaving state: RequestState, _ record: RequestRecord) {
            switch (leaver, state) {
            case (.holder, .thawHooks):
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

        /// There may be 32 subscriptions.
        private func expectNoSubscriptionLeft(_ rig: DaemonRig) throws {
            let clients = try (0..<32).map { _ in try RawClient(rig.socket) }
            for client in clients {
                try client.send(#"{"method":"org.quiesce.Control1.Monitor","more":true}"#)
                #expect(try client.receive().error == nil)
            }
        }
    }
}
