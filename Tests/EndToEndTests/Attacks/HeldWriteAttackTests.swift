import Channels
import ControlProtocol
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

@testable import LinuxSystem

/// An unprivileged user sleeps inside a write: a FIFREEZE waits for the write, and cannot be cancelled.
extension EndToEnd {
    @Suite struct HeldWriteAttackTests {
        private let held: ScratchFilesystem

        init() throws {
            held = try ScratchFilesystem(.ext4)
        }

        private func rig(_ configuration: [String: String] = [:], hasStopPoints: Bool = false) throws -> DaemonRig
        {
            try DaemonRig(
                configuration: configuration,
                hooks: ["10-trace": "echo \"$1${QUIESCE_RESULT:+ $QUIESCE_RESULT}\" >> $TRACE"],
                hasStopPoints: hasStopPoints)
        }

        private func end(_ rig: DaemonRig) throws {
            try rig.waitUntilReleased()
            try rig.expectHealthy(freezing: [held.mountPoint])
            #expect(try rig.stop() == .exited(0))
            try held.remove()
        }

        // MARK: Before freezing

        @Test(arguments: WriteHolderProgram.Kind.allCases)
        func
            `P1 P2: a user who sleeps inside a write fails the request by name before anything is frozen or locked`(
                kind: WriteHolderProgram.Kind
            ) throws
        {
            try expectHoldsUpFreeze(kind)
            let holder = try WriteHolderProgram(kind, on: held)
            let rig = try rig()
            let answer = try rig.freeze()
            CrashScene.expectRefused(answer)
            print("MEASURED: FREEZE refused after \(answer.duration.milliseconds) ms; \(kind.rawValue)")
            #expect(answer.duration >= .seconds(2) && answer.duration < .seconds(5))
            let record = try rig.record()
            let reason = try #require(record.reason)
            let process = holder.process.processIdentifier
            #expect(
                reason.contains("not frozen, for its freeze would hang: process \(process) (write-holder)"),
                "\(reason)")
            #expect(reason.contains("of user \(WriteHolderProgram.user) sleeps in a write to /"), "\(reason)")
            #expect(reason.contains("Run `kill \(process)`"), "\(reason)")
            #expect(reason.contains("/sys/fs/fuse/connections/") == kind.waitsForServer, "\(reason)")
            if kind != .overlay && kind != .detached {
                #expect(record.subject == .filesystem(held.mountPoint))
                #expect(reason.hasPrefix("\(held.mountPoint): "), "\(reason)")
            }
            #expect(record.window == nil)
            #expect(
                record.filesystems.first { $0.mountPoint == held.mountPoint }?.holders.first?.processID
                    == process)
            #expect(try rig.traced() == [])
            #expect(try rig.status().stuck == [])
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)

            try holder.end()
            try end(rig)
        }

        /// Proves that a freeze without quiesce waits for the writer.
        private func expectHoldsUpFreeze(_ kind: WriteHolderProgram.Kind) throws {
            let holder = try WriteHolderProgram(kind, on: held)
            let freeze = try RunningProgram("fsfreeze", ["--freeze", held.mountPoint.string])
            #expect(throws: RunningProgram.Failure.self) { try freeze.waitForExit(within: .milliseconds(700)) }
            try holder.end()
            #expect(try freeze.waitForExit() == .exited(0))
            try held.thaw()
        }

        @Test func `P2: busy writers, idle pipes and a slow one are no reason to refuse a backup`() throws {
            let directory = held.mountPoint
            let trickle = try WriteHolderProgram(tricklingOn: held)
            let busy = try RunningProgram(
                "sh",
                [
                    "-c",
                    """
                    while :; do dd if=/dev/zero of=\(directory)/busy bs=1M count=16 conv=fsync 2>/dev/null; done &
                    while :; do dd if=/dev/zero of=\(directory)/direct bs=4k count=500 oflag=dsync 2>/dev/null; done &
                    sleep 1000 | cat >\(directory)/idle &
                    wait
                    """,
                ])
            let rig = try rig()
            for _ in 1...3 {
                let answer = try rig.freeze()
                #expect(answer.status == .success, "\(rig.log)")
                print("MEASURED: FREEZE answered after \(answer.duration.milliseconds) ms beside busy writers")
                #expect(try rig.thaw().status == .success)
                try rig.waitUntilReleased()
            }
            kill(-busy.processIdentifier, SIGKILL)
            try busy.waitForExit()
            try trickle.end()
            try end(rig)
        }

        // MARK: While a FIFREEZE hangs

        @Test func `P1 P9: a process that keeps a FIFREEZE hanging is named, and kill frees it`() throws {
            // Alone: with stop points one FIFREEZE waits for the other.
            let rig = try rig(
                ["freeze": "timeout = \"1s\"", "filesystems": "include = [\"\(held.mountPoint)\"]"],
                hasStopPoints: true)
            // After the last look for sleeping writers.
            try rig.arm("entering checking")
            let pending = PendingAnswer(.freeze, of: rig.host)
            try rig.waitForStop(of: rig.daemon.processIdentifier, at: "entering checking")
            let holder = try WriteHolderProgram(.splice, on: held)
            let process = holder.process.processIdentifier
            rig.daemon.send(SIGCONT)
            CrashScene.expectRefused(try pending.value())

            let file = holder.directory.appending("held").string
            let sentence = "process \(process) (write-holder) of user \(WriteHolderProgram.user)"
            let record = try rig.record()
            let filesystem = try #require(record.filesystems.first { $0.mountPoint == held.mountPoint })
            #expect(filesystem.isStuck)
            #expect(filesystem.holders.map(\.processID) == [process])
            #expect(filesystem.holders.first?.file == FilePath(file))
            let status = try rig.status()
            #expect(status.stuck == [held.mountPoint.string])
            #expect(status.holders?.map(\.processID) == [process])
            #expect(status.holders?.first?.userID == UInt32(WriteHolderProgram.user))
            for text in [
                try rig.control("status").output, try rig.control("show", record.id.text).output, rig.log,
            ] {
                let words = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
                #expect(words.contains(sentence) && words.contains("Run `kill \(process)`"), "\(text)")
            }

            let next = try rig.freeze()
            CrashScene.expectRefused(next)
            #expect(next.duration < .seconds(1))
            let reason = try #require(try rig.record(number: 2).reason)
            #expect(reason.contains(sentence), "\(reason)")

            let killed = Moment.now
            holder.process.send(SIGTERM)
            try holder.process.waitForExit()
            try rig.waitUntilReleased()
            print(
                "MEASURED: \((Moment.now - killed).milliseconds) ms from `kill` until the stuck filesystem was thawed"
            )
            #expect(try rig.status().holders == nil)
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try held.isFrozen())
            #expect(try rig.thaw().status == .success)
            try rig.waitUntilReleased()
            #expect(try rig.stop() == .exited(0))
            try held.remove()
        }

        // MARK: Cost

        @Test func `the search for sleeping writers costs little with thousands of threads`() throws {
            let crowd = try WriteHolderProgram.threads(5000)
            let planned = PlannedFilesystem(
                device: DeviceNumber(major: 7, minor: 200),
                mount: try #require(try MountTable.read().first), action: .freeze, reason: "")
            var durations: [Duration] = []
            for _ in 1...5 {
                let begun = Moment.now
                let findings = WriteHolderScan().findings(on: [planned], until: .now + .seconds(10))
                durations.append(Moment.now - begun)
                #expect(findings.isComplete && findings.holders.isEmpty)
            }
            print("MEASURED: \(durations.map { $0.milliseconds.rounded() }) ms to look at 5,000 threads")
            #expect(durations.min() ?? .zero < .milliseconds(500))
            crowd.send(SIGKILL)
            try crowd.waitForExit()
            try held.remove()
        }
    }
}
