import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// Stock agents that work on the same filesystems. They take EBUSY for success, and thaw what they did not freeze.
extension EndToEnd {
    @Suite struct ForeignAgentTests {
        enum Kind: String, CaseIterable, CustomTestStringConvertible {
            case hyperV = "hv_vss_daemon"
            case qemu = "qemu-ga"
            var testDescription: String { rawValue }

            func start() throws -> any ForeignAgent {
                switch self {
                case .hyperV: try StockHyperVAgent()
                case .qemu: try StockQEMUAgent()
                }
            }
        }

        private let filesystems: [ScratchFilesystem]
        private let rig: DaemonRig

        /// On zram: hv_vss_daemon leaves out what is on loop devices, as the world's root is.
        init() throws {
            filesystems = [
                try ScratchFilesystem(.ext4, on: .zram), try ScratchFilesystem(.xfs, on: .zram),
                try ScratchFilesystem(.ext4, on: .zram),
            ]
            rig = try DaemonRig(hooks: ["10-hook": "echo $1 $QUIESCE_RESULT >> $TRACE"])
        }

        private var mountPoints: [FilePath] { filesystems.map(\.mountPoint) }

        private func areFrozen() throws -> [Bool] { try mountPoints.map { try FreezeProof.isFrozen($0) } }

        private func end() throws {
            try rig.expectHealthy(freezing: mountPoints)
            #expect(try rig.stop() == .exited(0))
            for filesystem in filesystems { try filesystem.remove() }
        }

        @Test(arguments: Kind.allCases)
        func `P5 what a stock agent has frozen stays frozen, and our FREEZE fails by name`(kind: Kind) throws {
            let agent = try kind.start()
            #expect(try agent.freeze())
            #expect(try areFrozen() == [true, true, true])
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            #expect(try areFrozen() == [true, true, true])
            #expect(try agent.thaw())
            #expect(try areFrozen() == [false, false, false])
            let reason = try #require(try rig.record().reason)
            #expect(reason.contains("frozen already, by somebody else"), "\(reason)")
            try wait(for: "the hooks") { try rig.traced() == ["freeze", "thaw failed"] }
            try end()
        }

        @Test(arguments: Kind.allCases)
        func `P3 a stock agent thaws what we froze: our THAW is answered with failure`(kind: Kind) throws {
            let agent = try kind.start()
            #expect(try rig.freeze().status == .success)
            let answer = try agent.freeze()
            print(
                "MEASURED: \(kind.rawValue) answers \(answer ? "success" : "failure") when all is frozen already")
            _ = try agent.thaw()
            #expect(try areFrozen() == [false, false, false])
            #expect(try rig.thaw().status == .failure)
            let record = try rig.record()
            #expect(record.result == .failed)
            #expect(record.reason?.contains("somebody else thawed it") == true, "\(record.reason ?? "")")
            try wait(for: "the hooks") { try rig.traced() == ["freeze", "thaw failed"] }
            try end()
        }

        /// FITHAW finds everything frozen at the end. What was written meanwhile went to the disk.
        /// On zram, too, whose count is its own affair (`queue/iostats` is 0 there).
        @Test(arguments: ScratchFilesystem.Kind.allCases, [false, true])
        func `P3 somebody thaws and freezes again in the window: our THAW is answered with failure`(
            kind: ScratchFilesystem.Kind, isOnZram: Bool
        ) throws {
            let filesystem = try ScratchFilesystem(kind, on: isOnZram ? .zram : .image())
            #expect(try rig.freeze().status == .success)
            try filesystem.thaw()
            try RunningProgram.output(of: "touch", [filesystem.mountPoint.appending("torn").string])
            try filesystem.freeze()
            #expect(try rig.thaw().status == .failure)
            let reason = try #require(try rig.record().reason)
            #expect(reason.hasPrefix("\(filesystem.mountPoint): somebody else thawed it"), "\(reason)")
            #expect(try !filesystem.isFrozen())
            try end()
            try filesystem.remove()
        }

        /// Writers and sync(1) that wait, time stamps to be written one day, and ext4's own process that writes to the device
        /// every second (tune2fs(8): mmp): none of it is taken for a thaw.
        @Test func `nothing writes to what is frozen, however long the window is`() throws {
            let guarded = try ScratchFilesystem(
                .ext4, options: ["-O", "mmp", "-E", "mmp_update_interval=1"], mountOptions: "lazytime,strictatime")
            let others = [try ScratchFilesystem(.xfs, mountOptions: "lazytime"), try ScratchFilesystem(.btrfs)]
            let all = filesystems + [guarded] + others
            let witnesses = try all.map { try BusyWitness(in: $0.mountPoint) }
            #expect(try rig.freeze().status == .success)
            let syncing = try RunningProgram("sync")
            // There is nothing to wait for: that nothing happens is the point.
            usleep(4_000_000)
            let thaw = try rig.thaw()
            #expect(thaw.status == .success, "\(rig.log)")
            for witness in witnesses { witness.stop() }
            #expect(try syncing.waitForExit() == .exited(0))
            #expect(try rig.record().result == .succeeded)
            try rig.waitUntilReleased()
            for filesystem in [guarded] + others { try filesystem.remove() }
            try end()
        }

        @Test(arguments: Kind.allCases)
        func `P3 P5 an agent at work at random moments never makes a false success`(kind: Kind) throws {
            let agent = try kind.start()
            let witnesses = try mountPoints.map { try BusyWitness(in: $0) }
            let isWanted = Monitor(true)
            let cycles = Monitor(0)
            let ended = DispatchSemaphore(value: 0)
            try OperatingSystemThread.start("agent") {
                while isWanted.update({ $0 }) {
                    usleep(.random(in: 0...200_000))
                    _ = try? agent.freeze()
                    usleep(.random(in: 0...50_000))
                    _ = try? agent.thaw()
                    cycles.update { $0 += 1 }
                }
                ended.signal()
            }
            var counts = ["refused": 0, "lost": 0, "seen to be torn": 0, "good": 0]
            var number = 0
            // Sixty, or as many as there is time for: FIFREEZE takes long where all processors are busy. And as many more
            // as it takes until each outcome was seen.
            let began = Moment.now
            while number < 60 && Moment.now < began + .seconds(20)
                || Moment.now < began + .seconds(40) && !counts.values.allSatisfy({ $0 > 0 })
            {
                number += 1
                usleep(.random(in: 0...50_000))
                let freeze = try rig.freeze()
                let frozen = freeze.sent + freeze.duration
                if freeze.status == .success { usleep(.random(in: 0...80_000)) }
                let thaw = try rig.thaw()
                guard freeze.status == .success else {
                    #expect(thaw.status == .success)
                    counts["refused", default: 0] += 1
                    continue
                }
                let isTorn = witnesses.map { $0.hasWritten(between: frozen, and: thaw.sent) }.contains(true)
                if thaw.status == .success { #expect(!isTorn, "round \(number): a false success") }
                if isTorn { counts["seen to be torn", default: 0] += 1 }
                counts[thaw.status == .success ? "good" : "lost", default: 0] += 1
            }
            isWanted.update { $0 = false }
            ended.wait()
            #expect(try agent.thaw() || kind == .hyperV)
            for witness in witnesses { witness.stop() }
            print("MEASURED: \(number) requests beside \(cycles.update { $0 }) of \(kind.rawValue): \(counts)")
            #expect(counts.values.allSatisfy { $0 > 0 }, "each of them happens, or the test tests nothing")
            #expect(try areFrozen() == [false, false, false])
            try end()
        }
    }
}
