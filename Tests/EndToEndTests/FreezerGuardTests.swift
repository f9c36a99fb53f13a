import Foundation
import FreezeCore
import FreezerProtocol
import Ledger
import LinuxCalls
import SystemPackage
import Testing

/// The first of the three guards, without the other two.
extension EndToEnd {
    @Suite struct FreezerGuardTests {
        @Test func `P1 the end of the connection thaws`() throws {
            let filesystems = [try ScratchFilesystem(.ext4), try ScratchFilesystem(.xfs)]
            let rig = try FreezerRig()
            let ledger = try rig.prepare([(filesystems[0].descriptor, 0), (filesystems[1].descriptor, 1)])
            try rig.freeze(level: 0)
            try rig.freeze(level: 1)
            for filesystem in filesystems { #expect(try filesystem.isFrozen()) }
            #expect(ledger.allFrozen(by: rig.process.identity))

            rig.hangUp()
            let (status, after) = try rig.waitForExit()
            print("MEASURED: \(after.milliseconds) ms from the end of the connection to the end of the freezer")
            #expect(status == 0)
            #expect(ledger.unsettled.isEmpty)
            #expect(ledger.superblocks.indices.allSatisfy { ledger.word($0).state == .thawed })
            for filesystem in filesystems {
                #expect(try !filesystem.isFrozen())
                try filesystem.remove()
            }
        }

        @Test func `P6 levels are thawed in reverse`() throws {
            let filesystems = try (0..<3).map { _ in try ScratchFilesystem(.ext4) }
            let rig = try FreezerRig()
            try rig.prepare(filesystems.enumerated().map { ($1.descriptor, $0) })
            for level in 0..<3 { try rig.freeze(level: level) }
            try rig.send(.thaw)
            let thaws = try [2, 1, 0].map { try rig.waitForThaw(of: $0) }
            #expect(thaws.allSatisfy { $0.error == nil })
            #expect(thaws[0].ended <= thaws[1].started && thaws[1].ended <= thaws[2].started)
            try rig.wait(for: .thawFinished)
            // Nothing holds them any more, though the freezer lives and was not told to release them.
            for filesystem in filesystems { try filesystem.remove() }
        }

        @Test func `P1 the window ends on time, and it is said`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try FreezerRig()
            // The second round: the same freezer takes another request.
            for round in 1...2 {
                try rig.prepare([(filesystem.descriptor, 0)])
                let deadline = try rig.freeze(level: 0, timeout: .milliseconds(200), window: .milliseconds(700))
                    .windowDeadline
                #expect(try filesystem.isFrozen())
                try rig.wait(for: .thawing(.windowDeadline))
                let thaw = try rig.waitForThaw(of: 0)
                print("MEASURED: thawed \((thaw.ended - deadline).milliseconds) ms after the window's end")
                #expect(thaw.error == nil)
                #expect(thaw.started >= deadline && thaw.ended < deadline + .milliseconds(500))
                try rig.wait(for: .thawFinished)
                #expect(try !filesystem.isFrozen(), "round \(round)")
                try rig.send(.release)
                try rig.wait(for: .released)
            }
            try filesystem.remove()
        }

        @Test func `P1 what is not all frozen by the freeze deadline is thawed`() throws {
            let filesystems = [try ScratchFilesystem(.ext4), try ScratchFilesystem(.ext4)]
            let rig = try FreezerRig()
            try rig.prepare([(filesystems[0].descriptor, 0), (filesystems[1].descriptor, 1)])
            let deadline = try rig.freeze(level: 0, timeout: .milliseconds(500)).freezeDeadline
            #expect(try filesystems[0].isFrozen())
            try rig.wait(for: .thawing(.freezeDeadline))
            let thaw = try rig.waitForThaw(of: 0)
            #expect(thaw.started >= deadline && thaw.ended < deadline + .milliseconds(500))
            // A level that is ordered too late is not frozen any more.
            try rig.freeze(level: 1, awaiting: 0)
            try rig.wait(for: .thawFinished)
            for filesystem in filesystems { #expect(try !filesystem.isFrozen()) }
        }

        @Test func `signals of a shutdown do not end it`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try FreezerRig()
            try rig.prepare([(filesystem.descriptor, 0)])
            try rig.freeze(level: 0)
            for signal in [SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2] {
                try rig.process.send(signal: signal)
            }
            #expect(!rig.process.waitForEnd(atMost: .milliseconds(200)))
            #expect(try filesystem.isFrozen())
            try rig.send(.thaw)
            #expect(try rig.waitForThaw(of: 0).error == nil)
        }

        @Test func `P5 what somebody else froze is refused and stays frozen`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            try filesystem.freeze()
            let rig = try FreezerRig()
            let ledger = try rig.prepare([(filesystem.descriptor, 0)])
            try rig.freeze(level: 0, awaiting: 0)
            guard case .froze(0, .resourceBusy, _, _) = try rig.next() else {
                Issue.record("not EBUSY: \(rig.reports)")
                return
            }
            try rig.send(.thaw)
            try rig.wait(for: .thawFinished)
            rig.hangUp()
            #expect(try rig.waitForExit().status == 0)
            #expect(ledger.word(0).state == .refused)
            #expect(try filesystem.isFrozen())
        }

        @Test func `P3 a thaw by somebody else is noticed`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try FreezerRig()
            try rig.prepare([(filesystem.descriptor, 0)])
            try rig.freeze(level: 0)
            try filesystem.thaw()
            try rig.send(.thaw)
            #expect(try rig.waitForThaw(of: 0).error == .invalidArgument)
        }

        @Test func `a superblock that another guard took is left to it`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try FreezerRig()
            let ledger = try rig.prepare([(filesystem.descriptor, 0)])
            try rig.freeze(level: 0)
            let thawing = LedgerWord(.thawing, by: .current)
            #expect(ledger.advance(0, from: ledger.word(0), to: thawing))
            try rig.send(.thaw)
            #expect(try rig.waitForThaw(of: 0).error == .canceled)
            #expect(try filesystem.isFrozen(), "only the winner of the word issues FITHAW")
            #expect(ledger.word(0) == thawing)
        }
    }
}
