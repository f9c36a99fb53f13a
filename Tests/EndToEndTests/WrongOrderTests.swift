import Foundation
import FreezeCore
import FreezerProtocol
import LinuxCalls
import SystemPackage
import Testing

/// Why P6: a filesystem frozen after what it is stored on hangs in the kernel. And what the guard makes of it.
extension EndToEnd {
    @Suite struct WrongOrderTests {
        private let outer: ScratchFilesystem
        private let inner: ScratchFilesystem
        private let writer: RunningProgram
        private let rig: FreezerRig

        init() throws {
            outer = try ScratchFilesystem(.ext4, mebibytes: 256)
            inner = try ScratchFilesystem(.ext4, on: .image(in: outer.mountPoint))
            let file = inner.mountPoint.appending("written")
            writer = try RunningProgram(
                "sh",
                [
                    "-c",
                    "while dd if=/dev/zero of=\(file) bs=64k count=200 conv=notrunc status=none; do echo more; done",
                ])
            try writer.waitForLine(in: .output) { $0 == "more" }
            rig = try FreezerRig()
        }

        private func expectNothingLeft() throws {
            #expect(try !outer.isFrozen() && !inner.isFrozen())
            #expect(rig.ledger?.unsettled == [])
            rig.hangUp()
            #expect(try rig.waitForExit().status == 0)
            writer.send(SIGKILL)
            try RunningProgram.output(of: "sync", ["-f", inner.mountPoint.string])
            _ = try writer.waitForExit()
            try inner.remove()
            try outer.remove()
        }

        @Test func `P6 the right order freezes both under load`() throws {
            try rig.prepare([(outer.descriptor, 1), (inner.descriptor, 0)])
            try rig.freeze(step: 0)
            try rig.freeze(step: 1)
            #expect(try outer.isFrozen() && inner.isFrozen())
            try rig.send(.thaw)
            let thaws = [try rig.waitForThaw(of: 0), try rig.waitForThaw(of: 1)]
            #expect(thaws.allSatisfy { $0.error == nil } && thaws[0].ended <= thaws[1].started)
            try expectNothingLeft()
        }

        @Test func `complaint 5, P1 P6: the wrong order hangs, and the deadline frees it`() throws {
            try rig.prepare([(outer.descriptor, 0), (inner.descriptor, 1)])
            try rig.freeze(step: 0)
            let deadline = try rig.freeze(step: 1, awaiting: 0, timeout: .seconds(1)).freezeDeadline
            // The first that is heard of it is the deadline: the inner FIFREEZE has not returned until then.
            #expect(try rig.next() == .thawing(.freezeDeadline))
            #expect(Moment.now >= deadline)
            let outerThaw = try rig.waitForThaw(of: 0)
            let innerThaw = try rig.waitForThaw(of: 1)
            #expect(outerThaw.error == nil && innerThaw.error == nil)
            let innerFreeze = rig.reports.compactMap { report -> Moment? in
                if case .froze(1, nil, _, let ended) = report { ended } else { nil }
            }
            #expect(try #require(innerFreeze.first) > outerThaw.started, "freed by nothing but the outer thaw")
            print(
                "MEASURED: outer thawed \((outerThaw.ended - deadline).milliseconds) ms after the deadline, inner "
                    + "\((innerThaw.ended - outerThaw.ended).milliseconds) ms after it")
            #expect(innerThaw.ended < deadline + .seconds(10))
            try expectNothingLeft()
        }
    }
}
