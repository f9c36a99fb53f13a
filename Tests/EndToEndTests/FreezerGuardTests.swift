import Foundation
import FreezeCore
import FreezerProtocol
import LinuxCalls
import SystemPackage
import Testing

@testable import Freezer

/// The first of the three guards, without the other two.
extension EndToEnd {
    @Suite struct FreezerGuardTests {
        @Test func `P1 the end of the connection thaws`() throws {
            let filesystems = [try ScratchFilesystem(.ext4), try ScratchFilesystem(.xfs)]
            let rig = try FreezerRig()
            let ledger = try rig.prepare([(filesystems[0].descriptor, 0), (filesystems[1].descriptor, 1)])
            try rig.freeze(step: 0)
            try rig.freeze(step: 1)
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

        @Test func `P6 steps are thawed in reverse`() throws {
            let filesystems = try (0..<3).map { _ in try ScratchFilesystem(.ext4) }
            let rig = try FreezerRig()
            try rig.prepare(filesystems.enumerated().map { ($1.descriptor, $0) })
            for step in 0..<3 { try rig.freeze(step: step) }
            try rig.send(.thaw)
            let thaws = try [2, 1, 0].map { try rig.waitForThaw(of: $0) }
            #expect(thaws.allSatisfy { $0.error == nil })
            #expect(thaws[0].ended <= thaws[1].started && thaws[1].ended <= thaws[2].started)
            try rig.wait(for: .thawFinished)
            // Nothing holds them any more, though the freezer lives and was not told to release them.
            for filesystem in filesystems { try filesystem.remove() }
        }

        /// While the thread that froze the upper step still reports the freeze, the lower step waits for the
        /// thread.
        @Test func `P6 a thaw that answers the last report begins with that step`() throws {
            let filesystems = try (0..<2).map { _ in try ScratchFilesystem(.ext4) }
            let directory = try RunDirectory("/run/freezer-request", creating: true)
            let (ledger, descriptor) = try directory.createLedger(
                LedgerContents(
                    requestID: "request", channel: "request", daemon: .current,
                    superblocks: filesystems.indices.map {
                        .init(
                            device: DeviceNumber(major: 7, minor: UInt32($0)),
                            mountPoint: filesystems[$0].mountPoint, step: $0)
                    }, hooks: []))
            defer { try? descriptor.close() }
            let reports = Monitor<[FreezerNews]>([])
            let mayGoOn = ThreadSemaphore()
            var request = FreezerRequest(
                FreezerRequestID(number: 1), ledger: ledger, superblockCount: 2, me: .current
            ) { news in
                reports.update { $0.append(news) }
                if case .froze(1, nil, _, _) = news { mayGoOn.wait() }
            }
            func isReported(within limit: Duration = .seconds(10), _ news: (FreezerNews) -> Bool) -> Bool {
                reports.wait(until: .now + limit) { $0.contains(where: news) ? true : nil } ?? false
            }
            func isThaw(_ news: FreezerNews, of index: Int) -> Bool {
                if case .thawed(index, nil, _, _) = news { true } else { false }
            }
            try request.receive(try filesystems.map { try $0.descriptor.duplicate() }, from: 0)
            for step in 0..<2 {
                request.freeze(
                    step: step, freezeDeadline: .now + .seconds(10), windowDeadline: .now + .seconds(40))
                #expect(isReported { if case .froze(step, nil, _, _) = $0 { true } else { false } })
            }
            request.beginThaw()
            request.advance(now: Moment.now)
            #expect(!isReported(within: .milliseconds(200)) { isThaw($0, of: 0) })
            mayGoOn.signal()
            for step in [1, 0] {
                #expect(isReported { isThaw($0, of: step) })
                request.advance(now: Moment.now)
            }
            #expect(isReported { $0 == .thawFinished })
            for filesystem in filesystems { try filesystem.remove() }
        }

        @Test func `P1 the window ends on time, and it is said`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try FreezerRig()
            // The second round: the same freezer takes another request.
            for round in 1...2 {
                try rig.prepare([(filesystem.descriptor, 0)])
                let deadline = try rig.freeze(step: 0, timeout: .milliseconds(200), window: .milliseconds(700))
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
            let deadline = try rig.freeze(step: 0, timeout: .milliseconds(500)).freezeDeadline
            #expect(try filesystems[0].isFrozen())
            try rig.wait(for: .thawing(.freezeDeadline))
            let thaw = try rig.waitForThaw(of: 0)
            #expect(thaw.started >= deadline && thaw.ended < deadline + .milliseconds(500))
            // A step that is ordered too late is not frozen any more.
            try rig.freeze(step: 1, awaiting: 0)
            try rig.wait(for: .thawFinished)
            for filesystem in filesystems { #expect(try !filesystem.isFrozen()) }
        }

        @Test func `signals of a shutdown do not end it`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try FreezerRig()
            try rig.prepare([(filesystem.descriptor, 0)])
            try rig.freeze(step: 0)
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
            try rig.freeze(step: 0, awaiting: 0)
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
            try rig.freeze(step: 0)
            try filesystem.thaw()
            try rig.send(.thaw)
            #expect(try rig.waitForThaw(of: 0).error == .invalidArgument)
        }

        @Test func `a superblock that another guard took is left to it`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try FreezerRig()
            let ledger = try rig.prepare([(filesystem.descriptor, 0)])
            try rig.freeze(step: 0)
            let thawing = LedgerWord(.thawing, by: .current)
            #expect(ledger.advance(0, from: ledger.word(0), to: thawing))
            try rig.send(.thaw)
            #expect(try rig.waitForThaw(of: 0).error == .canceled)
            #expect(try filesystem.isFrozen(), "only the winner of the word issues FITHAW")
            #expect(ledger.word(0) == thawing)
        }
    }
}
