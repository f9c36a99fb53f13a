import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// What a host may say or do at the device that is not in the book: no crash, nothing left frozen, no false success.
extension EndToEnd {
    @Suite struct DeviceFaultTests {
        @Test(arguments: [0, 1, 77, 127, 255] as [UInt8])
        func `an unknown operation is answered with success and changes nothing`(code: UInt8) throws {
            let rig = try DaemonRig()
            #expect(try rig.host.perform(HyperVOperation(rawValue: code)).status == .success)
            try rig.daemon.waitForLine { $0.contains("unknown operation \(code)") }
            try rig.expectHealthy(freezing: [])
        }

        @Test func `an unknown operation in the window does not end it`() throws {
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success)
            #expect(try rig.host.perform(HyperVOperation(rawValue: 77)).status == .success)
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            try rig.expectHealthy(freezing: [])
        }

        @Test func `a message in two pieces is one message`() throws {
            let rig = try DaemonRig()
            let bytes = HyperVMessage(operation: .freeze).bytes
            try rig.host.send(Array(bytes[..<5]))
            try rig.host.send(Array(bytes[5...]))
            let answered = HyperVHostEvent.unexpected(HyperVMessage(operation: .freeze).answered(with: .success))
            try wait(for: "the answer") { rig.host.events.contains(answered) }
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            try rig.expectHealthy(freezing: [])
        }

        @Test(arguments: [[5], [5, 0, 0, 0, 0, 0, 0], Array(repeating: 0xFF, count: 11)] as [[UInt8]])
        func `a message that is never finished makes the daemon register again`(bytes: [UInt8]) throws {
            let rig = try DaemonRig()
            try rig.host.send(bytes)
            #expect(rig.host.waitForRegistration(number: 2, until: .now + .seconds(10)))
            try rig.daemon.waitForLine { $0.contains("began a message and did not finish it") }
            try rig.expectHealthy(freezing: [])
        }

        @Test func `a burst of garbage is survived`() throws {
            let rig = try DaemonRig()
            // Twenty unknown operations and a piece of one: the daemon is not given time to answer each.
            try rig.host.send((0..<251).map { UInt8(truncatingIfNeeded: $0 &* 97 &+ 8) | 0x40 })
            #expect(rig.host.waitForRegistration(number: 2, until: .now + .seconds(10)))
            try rig.expectHealthy(freezing: [])
        }

        @Test func `P1 P3 garbage in the window ends it, and its THAW is answered with failure`() throws {
            let filesystem = try ScratchFilesystem(.xfs)
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success)
            try rig.host.send([6, 0, 0])
            #expect(rig.host.waitForRegistration(number: 2, until: .now + .seconds(10)))
            #expect(try rig.record().isLost)
            #expect(try !filesystem.isFrozen())
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .failure)
            try rig.expectHealthy(freezing: [filesystem.mountPoint])
            try filesystem.remove()
        }

        @Test func `P3 a THAW that nothing was frozen for is answered with failure`() throws {
            let rig = try DaemonRig()
            #expect(try rig.thaw().status == .failure)
            try rig.daemon.waitForLine { $0.contains("this quiesced has frozen nothing for it") }
            try rig.expectHealthy(freezing: [])
            #expect(try rig.thaw().status == .failure)
        }

        @Test(arguments: [HyperVOperation.freeze, .hotBackup])
        func `P3 a host that begins anew while frozen has lost its first request`(
            operation: HyperVOperation
        ) throws {
            let rig = try DaemonRig(hooks: ["10-hook": "echo $1 $QUIESCE_RESULT >> $TRACE"])
            #expect(try rig.freeze().status == .success)
            #expect(try rig.host.perform(operation).status == .failure)
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .failure)
            let record = try rig.record()
            #expect(record.isLost)
            #expect(record.reason?.contains("the host sent \(operation) while everything was frozen") == true)
            #expect(try rig.traced() == ["freeze", "thaw failed"])
            try rig.expectHealthy(freezing: [])
        }

        @Test func `P3 a THAW during the freeze hooks cancels the request`() throws {
            let rig = try DaemonRig(hooks: [
                "10-slow": "echo $1 $QUIESCE_RESULT >> $TRACE; [ $1 = thaw ] || sleep 86396"
            ])
            try rig.host.send(HyperVMessage(operation: .freeze).bytes)
            try rig.waitForTrace("freeze")
            // The driver sends THAW only after its FREEZE has timed out: it takes no answer to that any more.
            try rig.host.send(HyperVMessage(operation: .thaw).bytes)
            #expect(rig.host.waitForRegistration(number: 2, until: .now + .seconds(10)))
            let record = try rig.record()
            #expect(record.result == .failed && record.window == nil)
            #expect(try rig.traced() == ["freeze", "thaw failed"])
            try rig.install(hook: "10-slow", "true")
            try rig.expectHealthy(freezing: [])
        }

        @Test func `P1 P3 a device that hangs up in the window is thawed at once, and its THAW fails`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig(hooks: ["10-hook": "echo $1 $QUIESCE_RESULT >> $TRACE"])
            #expect(try rig.freeze().status == .success)
            let hungUp = ContinuousClock.now
            rig.host.hangUp()
            let record = try rig.record()
            #expect(ContinuousClock.now - hungUp < .seconds(5))
            for mountPoint in [filesystem.mountPoint, "/"] {
                #expect(try !FreezeProof.isFrozen(mountPoint), "\(mountPoint)")
            }
            #expect(record.isLost)
            #expect(record.reason?.contains("the channel was lost") == true, "\(record.reason ?? "")")
            #expect(try rig.traced() == ["freeze", "thaw failed"])

            let successor = try HyperVHostSimulator(at: rig.host.devicePath)
            defer { successor.close() }
            #expect(successor.waitForRegistration(until: .now + .seconds(15)))
            #expect(try successor.perform(.thaw).status == .failure)
            try rig.expectHealthy(freezing: [filesystem.mountPoint], by: successor)
            try filesystem.remove()
        }

        @Test func `P4 a device that hangs up during the freeze hooks ends the request unfrozen`() throws {
            let rig = try DaemonRig(hooks: [
                "10-slow": "echo $1 $QUIESCE_RESULT >> $TRACE; [ $1 = thaw ] || sleep 86396"
            ])
            try rig.host.send(HyperVMessage(operation: .freeze).bytes)
            try rig.waitForTrace("freeze")
            rig.host.hangUp()
            let record = try rig.record()
            #expect(record.result == .failed && record.window == nil)
            #expect(try rig.traced() == ["freeze", "thaw failed"])
            #expect(try RunningProgram.run("pgrep", ["-f", "sleep 86396"]).ending == .exited(1))
            try rig.install(hook: "10-slow", "true")
            let successor = try HyperVHostSimulator(at: rig.host.devicePath)
            defer { successor.close() }
            #expect(successor.waitForRegistration(until: .now + .seconds(15)))
            try rig.expectHealthy(freezing: [], by: successor)
        }

        /// - Parameter isFreezeWaiting: whether the host that hangs up had sent its next FREEZE already.
        @Test(arguments: [false, true])
        func `P8 a device that hangs up during slow thaw hooks is served by the next host`(
            isFreezeWaiting: Bool
        ) throws {
            let slow = "[ $1 = freeze ] || { \(DaemonRig.waiting(forGate: "open")); }"
            let rig = try DaemonRig(hooks: ["10-slow": "echo $1 $QUIESCE_RESULT >> $TRACE; \(slow)"])
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            try rig.waitForTrace("thaw ok")
            if isFreezeWaiting { try rig.host.send(HyperVMessage(operation: .freeze).bytes) }
            rig.host.hangUp()
            let successor = try HyperVHostSimulator(at: rig.host.devicePath)
            defer { successor.close() }
            #expect(successor.waitForRegistration(until: .now + .seconds(15)))
            // Nothing was frozen for it, by whomever.
            #expect(try successor.perform(.thaw).status == .failure)
            let answer = PendingAnswer(.freeze, of: successor)
            #expect(throws: DaemonRig.Failure.self) { try answer.value(within: .milliseconds(300)) }
            try rig.open(gate: "open")
            #expect(try answer.value().status == .success)
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try successor.perform(.thaw).status == .success)
            #expect(try rig.record(number: 2).result == .succeeded)
            #expect(try rig.traced() == ["freeze", "thaw ok", "freeze", "thaw ok"])
            try rig.expectHealthy(freezing: [], by: successor)
        }

        @Test func `P3 two operations at once are answered by neither, and leave nothing frozen`() throws {
            let rig = try DaemonRig()
            try rig.host.send(HyperVMessage(operation: .freeze).bytes + HyperVMessage(operation: .thaw).bytes)
            #expect(rig.host.waitForRegistration(number: 2, until: .now + .seconds(10)))
            // An answer to the first would be taken for the second's.
            #expect(!rig.host.events.contains { if case .unexpected = $0 { true } else { false } })
            #expect(try rig.record().result == .failed)
            try rig.expectHealthy(freezing: [])
        }

        @Test func `a device that hangs up while idle is opened again when it is back`() throws {
            let rig = try DaemonRig()
            for _ in 0..<3 {
                rig.host.hangUp()
                let successor = try HyperVHostSimulator(at: rig.host.devicePath)
                defer { successor.close() }
                #expect(successor.waitForRegistration(until: .now + .seconds(15)))
                try rig.expectHealthy(freezing: [], by: successor)
            }
            #expect(try rig.stop() == .exited(0))
        }

        @Test func `HOT_BACKUP succeeds, and what would make a FREEZE fail is logged`() throws {
            let rig = try DaemonRig()
            try rig.install(hook: "10-distrusted", "true", mode: "777")
            #expect(try rig.hotBackup().status == .success)
            try rig.daemon.waitForLine {
                $0.contains("warning") && $0.contains("a FREEZE now would fail: hook 10-distrusted is refused")
            }
            #expect(try rig.freeze().status == .failure)
        }
    }
}
