import Channels
import Foundation
import FreezeCore
import LinuxCalls
import SystemPackage
import Testing

/// Thousands of backups of a busy machine, one after the other: none fails, and nothing grows. Run by `make soak`.
@Suite(.serialized, .inScratchWorld, .thawWatchdog(after: .seconds(1800)))
struct SoakTests {
    private static let cycles =
        ProcessInfo.processInfo.environment["QUIESCE_SOAK_CYCLES"].flatMap(Int.init) ?? 2000

    /// What a process takes.
    private struct Footprint {
        /// In KiB: the least in the window of any cycle since the last footprint. What a request needs for a moment
        /// comes and goes by some hundred KiB; what is lost lifts the least.
        let resident: Int
        let descriptors: Int
        let threads: Int

        init(of process: pid_t, resident: Int) throws {
            self.resident = resident
            descriptors = try ProcessStatus.descriptors(of: process)
            threads = try ProcessStatus.number("Threads", of: process)
        }

        var text: String {
            let fields = [(resident, 8), (descriptors, 6), (threads, 6)]
            return fields.map { String(repeating: " ", count: max(1, $1 - "\($0)".count)) + "\($0)" }.joined()
        }
    }

    @Test func `P1 P2 P3 thousands of backups of busy filesystems, and none fails or leaves anything`() throws {
        let filesystems = [
            try ScratchFilesystem(.ext4), try ScratchFilesystem(.xfs), try ScratchFilesystem(.btrfs),
            try ScratchFilesystem(.ext4, on: .zram),
        ]
        let writers = try filesystems.map { try RingWriter(in: $0.mountPoint) }
        // With a limit for hooks longer than the test, memory that is kept until the limit counts as growth.
        let rig = try DaemonRig(
            configuration: ["hooks": "timeout = \"300s\""],
            hooks: [
                "10-first": "echo \"$1\" >> $TRACE",
                "20-second": "[ $1 = freeze ] || echo \"$QUIESCE_RESULT\" >> $TRACE",
            ])
        print("SOAK: \(Self.cycles) cycles, \(filesystems.count + 1) filesystems, \(writers.count) busy writers")
        print("SOAK:   cycle   daemon KiB  fds  thr   freezer KiB  fds  thr")
        var samples: [[Footprint]] = []
        let processes = [rig.daemon.processIdentifier, try rig.freezerProcess()]
        var least = processes.map { _ in Int.max }
        var longest = Duration.zero
        for cycle in 1...Self.cycles {
            let freeze = try rig.freeze()
            try #require(
                freeze.status == .success, "cycle \(cycle): \(freeze.outcome); log: \(rig.log.suffix(2000))")
            least = try zip(least, processes).map { min($0, try ProcessStatus.number("VmRSS", of: $1)) }
            let thaw = try rig.thaw()
            try #require(thaw.status == .success, "cycle \(cycle): \(thaw.outcome); log: \(rig.log.suffix(2000))")
            longest = max(longest, freeze.duration)
            if cycle % 50 == 0 { for writer in writers { try writer.waitForProgress() } }
            // The first comes when everything is there that is made once.
            guard cycle % max(1, Self.cycles / 10) == 0 else { continue }
            try waitUntilAtRest(rig)
            let footprints = try zip(processes, least).map { try Footprint(of: $0, resident: $1) }
            samples.append(footprints)
            least = processes.map { _ in Int.max }
            print("SOAK: \(String(cycle).leftPadded(to: 7))  \(footprints.map(\.text).joined(separator: "  "))")
        }
        try expectNoGrowth("daemon", samples.map { $0[0] })
        try expectNoGrowth("freezer", samples.map { $0[1] })
        print(
            "SOAK: longest FREEZE \(Int(longest.milliseconds)) ms, longest write "
                + "\(Int((writers.map(\.longestStall).max() ?? .zero).milliseconds)) ms")
        for writer in writers {
            try writer.stopAndVerify()
            print("SOAK: \(writer.file): \(writer.acknowledged) records, intact")
        }
        try expectHooks(of: rig)
        #expect(try rig.stop() == .exited(0))
        for filesystem in filesystems { try filesystem.remove() }
    }

    /// Threads and descriptors of a request go a moment after its end.
    private func waitUntilAtRest(_ rig: DaemonRig) throws {
        try rig.waitUntilReleased()
        _ = try ProcessStatus.waitForThreads(1, of: try rig.freezerProcess())
        _ = try ProcessStatus.settled(of: rig.daemon.processIdentifier)
    }

    /// A leak grows from each sample to the next. The heap alone rises once and again by some MiB, in a request that
    /// needs more at a time than any before, and keeps some of that: so it is the median step that has to be nothing.
    /// 1 KiB lost in each cycle fails, in a thousand of them.
    private func expectNoGrowth(_ name: String, _ samples: [Footprint]) throws {
        let (first, last) = (try #require(samples.first), try #require(samples.last))
        #expect(last.descriptors == first.descriptors, "\(name)")
        #expect(last.threads <= first.threads, "\(name)")
        let sizes = samples.map(\.resident)
        let steps = zip(sizes, sizes.dropFirst()).map { $1 - $0 }.sorted()
        // KiB in a tenth of the cycles; without a leak it is 8 at most.
        #expect(steps[steps.count / 2] < 64, "\(name): \(sizes)")
        #expect(last.resident < first.resident + 8 * 1024, "\(name): \(sizes)")
    }

    /// Both hooks, both ways, each time.
    private func expectHooks(of rig: DaemonRig) throws {
        let lines = try rig.traced()
        let counts = Dictionary(grouping: lines) { $0 }.mapValues(\.count)
        #expect(counts == ["freeze": Self.cycles, "thaw": Self.cycles, "ok": Self.cycles])
    }
}

extension String {
    fileprivate func leftPadded(to width: Int) -> String {
        String(repeating: " ", count: max(0, width - count)) + self
    }
}
