import Channels
import Foundation
import FreezeCore
import History
import SystemPackage
import Testing

/// What the level of a backup rests on, and what its result names.
extension EndToEnd {
    @Suite struct LevelTests {
        private func backup(_ rig: DaemonRig, number: Int = 1) throws -> RequestRecord {
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try rig.thaw().status == .success)
            return try rig.record(number: number)
        }

        @Test func `P3 only hooks that did their work make a backup application-consistent`() throws {
            let working = "/tmp/level-works"
            let rig = try DaemonRig(hooks: [
                "10-idle": "echo \"10 $1\" >> $TRACE; [ $1 = thaw ] || echo SKIP nothing runs",
                "20-idle.session": "echo SKIP no server", "30-some": "[ -e \(working) ] || echo SKIP",
            ])
            let idle = try backup(rig)
            #expect(idle.level == .filesystem && idle.workingHooks.isEmpty)
            #expect(
                idle.reason == "no hook had work: 10-idle (nothing runs), 30-some, 20-idle.session (no server)")
            let freezes = idle.hooks.filter { $0.phase == .freeze }
            #expect(freezes.allSatisfy { $0.outcome.isSkipped })
            // Called for thaw all the same (P4).
            #expect(try rig.traced() == ["10 freeze", "10 thaw"])

            try RunningProgram.output(of: "touch", [working])
            defer { unlink(working) }
            let good = try backup(rig, number: 2)
            #expect(good.level == .application && good.workingHooks == ["30-some"] && good.reason == nil)
            for command in ["history", "status", "show"] {
                #expect(try rig.control(command).output.contains("hooks: 30-some"), "\(command)")
            }
            #expect(rig.log.contains("level application (rehearsal; hooks: 30-some)"))
            #expect(try rig.control("show").output.contains("skipped"))
        }

        @Test func `SKIP with a failure is a failure`() throws {
            let rig = try DaemonRig(hooks: ["10-bad": "[ $1 = thaw ] || { echo SKIP; exit 3; }"])
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.record().reason?.contains("exited with status 3") == true)
            #expect(try rig.thaw().status == .success)
        }

        @Test func `P3 a session that says SKIP and READY is held`() throws {
            let rig = try DaemonRig(hooks: ["10-db.session": "echo SKIP; echo READY; cat >/dev/null; echo SKIP"])
            let record = try backup(rig)
            #expect(record.level == .application && record.workingHooks == ["10-db.session"])
            #expect(!record.hooks.contains { $0.outcome.isSkipped })
        }

        @Test func `a hook that fails at thaw is visible until it is acknowledged, also after a restart`() throws {
            let broken = "/tmp/level-broken"
            try RunningProgram.output(of: "touch", [broken])
            defer { unlink(broken) }
            let rig = try DaemonRig(hooks: ["10-app": "[ $1 = freeze ] || [ ! -e \(broken) ] || exit 4"])
            // The host is told success: the snapshot is good.
            let record = try backup(rig)
            #expect(record.result == .succeeded && record.level == .application && record.attention == ["10-app"])
            #expect(rig.log.contains("hook 10-app exited with status 4; its application may be down"))
            for restarts in [false, true] {
                if restarts {
                    #expect(try rig.stop() == .exited(0))
                    try rig.start()
                }
                #expect(try rig.control("status").output.contains("hook 10-app exited with status 4 at thaw"))
                let status = try rig.control("status", "--json").output
                #expect(status.contains("\"attention\"") && status.contains("\"10-app\""))
            }
            #expect(try rig.control("history").output.contains("ATTENTION, failed at thaw: 10-app"))
            #expect(try rig.control("check").output.contains("Hook 10-app exited with status 4 at thaw"))

            // The command's own success is not all there is to say.
            #expect(try rig.exec("true").waitForExit() == .exited(6))
            #expect(try rig.exec("sh", "-c", "exit 9").waitForExit() == .exited(9))
            #expect(try rig.control("freeze").ending == .exited(0))
            let thaw = try rig.control("thaw")
            #expect(thaw.ending == .exited(6) && thaw.output.contains("application may be down"), "\(thaw)")

            let acknowledged = try rig.control("acknowledge")
            #expect(acknowledged.ending == .exited(0) && acknowledged.output == "Acknowledged: 10-app.\n")
            #expect(try rig.control("acknowledge").output == "Nothing needs attention.\n")
            #expect(try !rig.control("status").output.contains("ATTENTION"))
            #expect(try rig.control("check").output.contains("No hook has failed at thaw"))
        }

        @Test func `a thaw after a freeze that did its work ends the attention`() throws {
            let broken = "/tmp/level-broken-once"
            try RunningProgram.output(of: "touch", [broken])
            defer { unlink(broken) }
            let rig = try DaemonRig(hooks: ["10-app": "[ $1 = freeze ] || [ ! -e \(broken) ] || exit 4"])
            _ = try backup(rig)
            #expect(try rig.control("status").output.contains("ATTENTION"))
            unlink(broken)
            #expect(try backup(rig, number: 2).attention.isEmpty)
            #expect(try !rig.control("status").output.contains("ATTENTION"))
            let kept = rig.stateDirectory.appending("attention.json").string
            #expect(!FileManager.default.fileExists(atPath: kept))
        }

        @Test func `filesystems that the configuration leaves out are named in the result`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig(
                configuration: ["filesystems": "exclude = [\"\(filesystem.mountPoint)\"]"],
                hooks: ["10-works": "true"])
            let record = try backup(rig)
            #expect(record.level == .application)
            #expect(record.reason == "1 left out: \(filesystem.mountPoint)")
            let leftOut = record.filesystems.filter { $0.isLeftOut }
            #expect(leftOut.map(\.mountPoint) == [filesystem.mountPoint])
            try filesystem.remove()
        }
    }
}
