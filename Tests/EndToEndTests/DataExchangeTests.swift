import Channels
import Foundation
import FreezeCore
import SystemPackage
import Testing

/// The state for the Hyper-V host, in pool 1 of data exchange. Tests/VM tests hv_kvp_daemon with the kernel's driver.
extension EndToEnd {
    @Suite struct DataExchangeTests {
        private let pool: ScratchPool
        private let rig: DaemonRig

        init() throws {
            pool = try ScratchPool()
            rig = try DaemonRig(
                configuration: [
                    "kvp": pool.configuration, "freeze": "timeout = \"4s\"\nmax_window = \"5s\"",
                ])
        }

        private func backUp() throws {
            #expect(try rig.control("freeze").ending == .exited(0), "log: \(rig.log)")
            #expect(try rig.control("thaw").ending == .exited(0), "log: \(rig.log)")
        }

        @Test func `P2 P3 the state after good, failed and lost requests, at a stop and a start`() throws {
            try pool.wait(for: "attention") { $0["last"] == nil && $0["daemon"] as? String == "running" }
            try backUp()
            let good = try pool.wait(for: "ok") { $0["last"] != nil }
            #expect((good["last_good"] as? [String: Any])?["level"] as? String == "filesystem")
            #expect((good["last"] as? [String: Any])?["channel"] as? String == "control")
            let boot = try String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
            #expect(good["boot_id"] as? String == boot.trimmingCharacters(in: .newlines))

            // A rehearsal does not change the state.
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            _ = try rig.record(number: 2)
            try rig.install(hook: "10-bad", "[ $1 = thaw ]")
            #expect(try rig.control("freeze").ending == .exited(1))
            let failed = try pool.wait(for: "failed") {
                ($0["last"] as? [String: Any])?["result"] as? String == "failed"
            }
            #expect(
                (failed["last_good"] as? [String: Any])?["id"] as? String
                    == (good["last_good"] as? [String: Any])?["id"] as? String)
            try RunningProgram.output(of: "rm", [rig.hookDirectory.appending("10-bad").string])

            try backUp()
            try pool.wait(for: "ok") { _ in true }
            #expect(try rig.control("freeze").ending == .exited(0))
            let lost = try pool.wait(for: "failed") { _ in true }
            #expect((lost["last"] as? [String: Any])?["result"] as? String == "lost")
            #expect(try rig.control("thaw").ending != .exited(0))

            try backUp()
            try pool.wait(for: "ok") { _ in true }
            #expect(try rig.stop() == .exited(0))
            try pool.wait(for: "attention") { $0["daemon"] as? String == "stopped" }
            try rig.start()
            try pool.wait(for: "ok") { $0["daemon"] as? String == "running" }
            #expect(try pool.keys == ["foreign", "quiesce.summary", "quiesce.state"])
            #expect(try pool.isForeignUntouched)
            #expect(try rig.stop() == .exited(0))
        }

        @Test func `P3 a crash in the window is failed at the next start`() throws {
            try backUp()
            try pool.wait(for: "ok") { _ in true }
            #expect(try rig.control("freeze").ending == .exited(0))
            try rig.killBoth()
            try rig.start()
            try pool.wait(for: "failed") { _ in true }
            #expect(try rig.stop() == .exited(0))
        }

        @Test func `a hook that fails at thaw needs attention until it is acknowledged`() throws {
            try rig.install(hook: "10-bad", "[ $1 = freeze ]")
            #expect(try rig.control("freeze").ending == .exited(0))
            _ = try rig.control("thaw")
            let summary = try pool.wait(for: "attention") { $0["attention"] != nil }
            #expect(summary["attention"] as? [String] == ["10-bad"])
            #expect(try rig.control("acknowledge").ending == .exited(0))
            try pool.wait(for: "ok") { $0["attention"] == nil }
            #expect(try rig.stop() == .exited(0))
        }

        /// Each problem is logged once, also after several requests, and no backup fails.
        @Test(arguments: [
            "mkfifo $POOL", "mkdir $POOL", "ln -s /etc/hostname $POOL", "truncate --size 1T $POOL",
            "touch $POOL; chown 1000 $POOL", "touch $POOL; chmod 666 $POOL", "true",
            // A record without a zero byte, which the kernel reads beyond the end.
            "head --bytes 2560 /dev/zero | tr '\\0' A >$POOL",
            // Torn by another program.
            "head --bytes 100 /dev/zero | tr '\\0' A >$POOL",
            // A full filesystem: one page, and two records take more.
            "mount -t tmpfs -o size=4k,mode=755 none $DIRECTORY; touch $POOL",
        ])
        func `a hostile pool is a line in the log, and nothing else`(command: String) throws {
            try pool.replace(by: command)
            for _ in 0..<3 { try backUp() }
            let line = "\(pool.path): "
            try wait(for: "the line; log: \(rig.log)") { rig.log.contains(line) }
            #expect(try rig.stop() == .exited(0))
            #expect(rig.log.components(separatedBy: line).count == 2, "\(rig.log)")
            #expect(try rig.record(number: 3).isGoodBackup)
            if command.hasPrefix("mount") { #expect(try pool.bytes.isEmpty) }
            try pool.remove()
        }

        @Test func `P9 a lock that another program keeps delays nothing`() throws {
            try pool.wait(for: "attention") { _ in true }
            let holder = try pool.lock()
            for _ in 0..<3 {
                let began = ContinuousClock.now
                try backUp()
                #expect(ContinuousClock.now - began < .seconds(4))
            }
            let began = ContinuousClock.now
            #expect(try rig.stop() == .exited(0))
            #expect(ContinuousClock.now - began < .seconds(4))
            try holder.closeInput()
            #expect(try pool.isForeignUntouched)
        }
    }
}
