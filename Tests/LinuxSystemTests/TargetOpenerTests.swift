import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import LinuxSystem

// One test at a time: one test lowers the limit of descriptors.
@Suite(.serialized) struct TargetOpenerTests {
    /// A plan with one filesystem, from a mount of this machine.
    private func plan(
        _ mountPoint: FilePath, mountID: UInt64? = nil, parentID: UInt64? = nil
    ) throws -> FreezePlan {
        let entries = try MountTable.read()
        let real = entries.last { $0.mountPoint == mountPoint }
        let entry = MountEntry(
            mountID: mountID ?? real?.mountID ?? 1, parentID: parentID ?? real?.parentID ?? 0,
            device: DeviceNumber(major: 8, minor: 1), root: "/", mountPoint: mountPoint, mountOptions: "rw",
            filesystemType: "ext4", source: "/dev/test", superblockOptions: "rw")
        return FreezePlan(filesystems: [
            PlannedFilesystem(device: entry.device, mount: entry, action: .freeze, reason: "test", step: 0)
        ])
    }

    @Test(arguments: ["/", "/proc", "/sys"] as [FilePath])
    func aMountPointOfThisMachineIsOpened(_ mountPoint: FilePath) throws {
        let targets = try TargetOpener().open(try plan(mountPoint))
        defer { TargetOpener.close(targets) }
        let target = try #require(targets.first)
        #expect(try MountPointOpening.mountID(of: target.descriptor) == target.filesystem.mount.mountID)
        #expect(fcntl(target.descriptor.rawValue, F_GETFD) & FD_CLOEXEC != 0)
    }

    /// Everything known of the filesystem but its mounts.
    private func fields(of filesystem: PlannedFilesystem) -> [String: String] {
        var fields: [String: String] = [:]
        for case (let name?, let value) in Mirror(reflecting: filesystem).children { fields[name] = "\(value)" }
        for name in ["mount", "alternatives", "otherMountPoints"] { fields[name] = nil }
        return fields
    }

    @Test func `P2 a filesystem that is reached through another mount keeps what the plan says of it`() throws {
        // A mount of a single file, which is no directory.
        let file = MountEntry(
            mountID: 1, parentID: 0, device: DeviceNumber(major: 8, minor: 1), root: "/hosts",
            mountPoint: "/etc/hosts", mountOptions: "rw", filesystemType: "ext4", source: "/dev/test",
            superblockOptions: "rw")
        let other = try #require(try MountTable.read().last { $0.mountPoint == "/proc" })
        let planned = PlannedFilesystem(
            device: file.device, mount: file, alternatives: [other], otherMountPoints: ["/proc", "/x"],
            identity: FilesystemIdentity(uuid: "5a7b-22"), action: .freeze, reason: "writable ext4", step: 1,
            orderReason: "before /", hiddenStorage: .nvmeLoop, storedOn: [DeviceNumber(major: 8, minor: 2)],
            isHarmless: true, isLeftOut: true, isExcludedByMountPoint: true)
        let targets = try TargetOpener().open(FreezePlan(filesystems: [planned]))
        defer { TargetOpener.close(targets) }
        let reached = try #require(targets.first).filesystem
        #expect(reached.mount == other && reached.alternatives == [file])
        #expect(reached.otherMountPoints == ["/x", "/etc/hosts"])
        #expect(fields(of: reached) == fields(of: planned))
    }

    /// A machine with 7:250 as `loop250` in sysfs, and with the given node in /dev.
    private func openDevice(node: FilePath?) throws -> [TargetOpener.Target] {
        let machine = try MachineFixture()
        try machine.addLoop("loop250", "7:250", backing: "/image")
        try machine.link("dev/other", to: "loop250")
        if let node { try machine.link("dev/loop250", to: node.string) }
        let mount = MountEntry(
            mountID: 1, parentID: 0, device: DeviceNumber(major: 7, minor: 250), root: "/", mountPoint: "/ntfs",
            mountOptions: "rw", filesystemType: "fuseblk", source: "/dev/loop250", superblockOptions: "rw")
        let plan = FreezePlan(filesystems: [
            PlannedFilesystem(device: mount.device, mount: mount, action: .sync, reason: "test")
        ])
        var paths = machine.paths
        paths.deviceNodes = machine.root.appending("dev")
        return try TargetOpener(paths: paths).open(plan)
    }

    @Test(arguments: [nil, "/dev/null", "/etc/passwd"] as [FilePath?])
    func aNodeThatIsNotTheBlockDeviceIsNotFlushedInItsPlace(_ node: FilePath?) throws {
        let error = #expect(throws: LinuxSystemError.self) { try openDevice(node: node) }
        #expect(error?.code == .open)
        #expect(
            error?.description.hasPrefix("/ntfs: its block device 7:250 cannot be opened to be flushed") == true)
    }

    @Test func afterAnUnmountTheFilesystemBelowIsNotTakenInItsPlace() throws {
        let root = try #require(try MountTable.read().last { $0.mountPoint == "/" })
        let error = #expect(throws: LinuxSystemError.self) {
            try TargetOpener().open(try plan("/etc", mountID: 999_999, parentID: root.mountID))
        }
        #expect(error?.code == .unmounted)
        #expect(error?.description == "/etc: unmounted since the plan was made. Try again.")
    }

    @Test func anotherMountInItsPlaceIsTold() throws {
        let error = #expect(throws: LinuxSystemError.self) {
            try TargetOpener().open(try plan("/proc", mountID: 999_999, parentID: 999_998))
        }
        #expect(error?.code == .replaced)
    }

    @Test func aMountPointThatIsGoneIsUnmounted() throws {
        let error = #expect(throws: LinuxSystemError.self) {
            try TargetOpener().open(try plan("/no/such/mount point"))
        }
        #expect(error?.code == .unmounted)
        #expect(error?.subject == "/no/such/mount\\040point")
        #expect(error?.underlyingError == .noSuchFileOrDirectory)
    }

    @Test func symbolicLinksAreNotFollowed() throws {
        let machine = try MachineFixture()
        try machine.link("link", to: "")
        let error = #expect(throws: LinuxSystemError.self) {
            try TargetOpener().open(try plan(machine.root.appending("link")))
        }
        #expect(error?.code == .unreachable || error?.code == .open)
        #expect(error?.underlyingError == .tooManySymbolicLinkLevels || error?.underlyingError == .notDirectory)
    }

    @Test func pathsAreBelowTheRootThatIsGiven() throws {
        let machine = try MachineFixture()
        try machine.write("inside/file", "x")
        let error = #expect(throws: LinuxSystemError.self) {
            try TargetOpener(root: machine.root).open(try plan("/inside", mountID: 999_999, parentID: 999_998))
        }
        #expect(error?.code == .replaced, "it was found, though not a mount point")
        #expect(throws: LinuxSystemError.self) { try TargetOpener(root: machine.root).open(try plan("/proc")) }
    }

    @Test func nothingStaysOpenAfterAnError() throws {
        // Other tests run at the same time and open "/". No other test opens this mount point.
        let mountPoint: FilePath = "/dev/pts"
        let good = try plan(mountPoint).filesystems
        let bad = try plan("/no/such").filesystems
        func openDescriptors() throws -> Int {
            let directory: FilePath = "/proc/self/fd"
            return try directoryEntries(directory).count {
                (try? readSymbolicLink(directory.appending($0))) == mountPoint
            }
        }
        let targets = try TargetOpener().open(FreezePlan(filesystems: good))
        #expect(try openDescriptors() == 1)
        TargetOpener.close(targets)
        #expect(throws: LinuxSystemError.self) {
            try TargetOpener().open(FreezePlan(filesystems: good + good + bad))
        }
        #expect(try openDescriptors() == 0)
    }

    @Test func theSoftLimitOfDescriptorsIsRaisedWhenNeeded() throws {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var original = rlimit()
        try #require(getrlimit(resource, &original) == 0)
        defer { setrlimit(resource, &original) }
        var limit = original
        limit.rlim_cur = min(700, original.rlim_max)
        try #require(setrlimit(resource, &limit) == 0)

        try DescriptorLimit.makeRoom(for: 100, reserve: 512)
        try #require(getrlimit(resource, &limit) == 0)
        #expect(limit.rlim_cur == min(700, original.rlim_max), "started programs would inherit it")

        try DescriptorLimit.makeRoom(for: 1000, reserve: 512)
        try #require(getrlimit(resource, &limit) == 0)
        #expect(limit.rlim_cur == original.rlim_max)
        #expect(throws: Errno.tooManyOpenFiles) {
            try DescriptorLimit.makeRoom(for: Int(original.rlim_max), reserve: 1)
        }
    }
}

@Suite struct SurveyOfThisMachineTests {
    @Test func itCanBePlanned() throws {
        let watch = try MountTableWatch()
        let inventory = try StorageInventory.survey(mounts: watch.read())
        let policy = PlanPolicy(include: [try FilesystemSelector(parsing: "/")])
        let plan = try FreezePlan.make(from: inventory, policy: policy)
        #expect(!plan.filesystems.isEmpty)
        #expect(plan.relevantChange(in: try watch.read(), policy: policy) == nil)
    }

    @Test func workThatHangsIsLeftBehind() throws {
        let gate = try FileDescriptor.pipe()
        let started = ContinuousClock.now
        let quick: @Sendable () -> Int = { 1 }
        let stuck: @Sendable () -> Int = {
            // Blocks until the test lets it go.
            var byte: UInt8 = 0
            _ = withUnsafeMutableBytes(of: &byte) { try? gate.readEnd.read(into: $0) }
            return 2
        }
        let results = AbandonableWork.run([quick, stuck], until: Moment.now + .milliseconds(200))
        #expect(results == [1, nil])
        #expect(ContinuousClock.now - started < .seconds(30))
        try gate.writeEnd.close()
    }

    @Test func aDeviceThatHangsIsAskedOnce() throws {
        let device = DeviceNumber(major: 4000, minor: 1)
        let gate = try FileDescriptor.pipe()
        let answers = HangingProbes.run([DeviceNode(device: device, path: "/dev/test")], within: .milliseconds(50))
        { _ in
            var byte: UInt8 = 0
            _ = withUnsafeMutableBytes(of: &byte) { try? gate.readEnd.read(into: $0) }
            return true
        }
        #expect(answers == [nil])
        #expect(HangingProbes.devices.contains(device))
        try gate.writeEnd.close()
        let deadline = ContinuousClock.now + .seconds(10)
        while HangingProbes.devices.contains(device), ContinuousClock.now < deadline { sched_yield() }
        #expect(!HangingProbes.devices.contains(device))
    }
}
