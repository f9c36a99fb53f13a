import FreezeCore
import SystemPackage
import Testing

/// Why the level of a good request is not the highest.
@Suite struct LevelReasonTests {
    private func record(of plan: FreezePlan) -> RequestRecord? {
        var bench = MachineBench()
        bench.plan = plan
        _ = bench.freeze()
        bench.goOn(to: .frozen)
        _ = bench.thaw()
        bench.goOn(to: .idle)
        return bench.lastRecord
    }

    @Test func `P2 a filesystem on nvme-loop that is left out lowers the level, and has two reasons`() {
        let leftOut = PlannedFilesystem(
            device: DeviceNumber(major: 259, minor: 0),
            mount: MountEntry(
                mountID: 9, parentID: 0, device: DeviceNumber(major: 259, minor: 0), root: "/",
                mountPoint: "/looped", mountOptions: "rw", filesystemType: "ext4", source: "/dev/nvme0n1",
                superblockOptions: "rw"),
            action: .skip, reason: "excluded by /looped", hiddenStorage: .nvmeLoop, isLeftOut: true)
        let filesystems = MachineBench.plan(steps: [0, 0, 1]).filesystems + [leftOut]
        let record = record(of: FreezePlan(filesystems: filesystems))
        #expect(record?.result == .succeeded && record?.level == .crash)
        #expect(
            record?.reason == "on nvme-loop, which writes through a freeze: /looped; 1 left out: /looped")
    }

    @Test(arguments: ConsistencyLevel.allCases)
    func `a good request of a crashed quiesced says that its record lists no hooks`(level: ConsistencyLevel) {
        let leftover = Leftover(
            requestID: RequestID("old"), channel: MachineBench.host, hooksOwedThaw: [PlannedHook(name: "10-a")],
            stuck: [], outcome: .snapshot(level))
        var bench = MachineBench(recovered: leftover)
        bench.goOn(to: .idle)
        #expect(bench.lastRecord?.level == level && bench.lastRecord?.workingHooks == [])
        let reason = bench.lastRecord?.reason ?? ""
        #expect(reason.hasPrefix("quiesced ended after the thaw, before the thaw hooks finished"))
        #expect(
            reason.hasSuffix("; the record does not list the hooks that did their work") == (level == .application)
        )
    }

    // MARK: ZFS

    private func flushed(_ work: WorkID, _ device: String, _ error: Errno? = nil) throws -> RequestEvent {
        let moment = Moment(nanoseconds: 1)
        return .flushed(
            work, try #require(DeviceNumber(device)), TimedResult(error: error, started: moment, ended: moment))
    }

    @Test func `P2 a filesystem of type zfs lowers the level, and a flush that fails or hangs fails the request`()
        throws
    {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/tank/data", "zfs", "0:50", source: "tank/data")
        let plan = try fixture.plan()
        let good = record(of: plan)
        #expect(good?.level == .crash && good?.reason == "could only be flushed: /tank/data")

        for (device, error, words) in [
            ("0:50", Errno.ioError, "flushing it failed"),
            ("8:1", nil, "flushing took longer than flush_timeout"),
        ] {
            var bench = MachineBench()
            bench.plan = plan
            let freeze = bench.freeze()
            bench.hooks = []
            bench.goOn(to: .flushing)
            bench.send(try flushed(try #require(bench.work), device, error))
            bench.waitForDeadline()
            #expect(bench.told(freeze)?.verdict == .failure)
            #expect(bench.told(freeze)?.detail.reason?.hasPrefix("/tank/data: \(words)") == true)
        }
    }
}
