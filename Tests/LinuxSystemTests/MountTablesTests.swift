import FoundationEssentials
import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import LinuxSystem

/// Which mount tables are looked at, on machines built out of directories.
@Suite struct MountTablesTests {
    private let machine: MachineFixture

    init() throws {
        machine = try MachineFixture()
        try addProcess("self", namespace: 1, table: Self.own)
        try addProcess("1", namespace: 1, table: Self.own)
    }

    private static let own = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 0:30 / /tmp rw - tmpfs tmpfs rw"

    private static func container(_ first: Int, _ mounts: String = "") -> String {
        "\(first) 2 0:\(first) / / rw - overlay overlay rw,upperdir=/up\n"
            + "\(first + 1) \(first) 8:1 /hosts /etc/hosts rw - ext4 /dev/sda1 rw" + (mounts.isEmpty ? "" : "\n")
            + mounts
    }

    /// - Parameter thread: nil for the main thread, also present in `/proc/self`.
    private func addProcess(
        _ name: String, thread: String? = nil, namespace: Int, table: String?, root: String = "/"
    ) throws {
        let directory = Self.directory(name, thread: thread)
        try machine.write("proc/\(name)/comm", "program")
        if let table { try machine.write("\(directory)/mountinfo", table) }
        try machine.write("\(directory)/ns/user", "")
        try setNamespace(of: name, thread: thread, namespace)
        try FileManager.default.createSymbolicLink(
            atPath: machine.root.appending("\(directory)/root").string, withDestinationPath: root)
    }

    private static func directory(_ process: String, thread: String? = nil) -> String {
        process == "self" ? "proc/self" : "proc/\(process)/task/\(thread ?? process)"
    }

    private func setNamespace(of process: String, thread: String? = nil, _ inode: Int) throws {
        let link = machine.root.appending("\(Self.directory(process, thread: thread))/ns/mnt").string
        try? FileManager.default.removeItem(atPath: link)
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "mnt:[\(inode)]")
    }

    private func tables(
        _ scope: PlanPolicy.MountNamespaces = .all, limits: MountTables.Limits = .init()
    ) throws -> MountTables {
        try MountTables(scope, proc: machine.paths.proc, limits: limits)
    }

    @Test func aNamespaceCountsIfItHasADiskThatOursHasNot() throws {
        try addProcess("100", namespace: 2, table: Self.container(200))
        try addProcess("101", namespace: 3, table: Self.container(300, "302 300 8:9 / /data rw - xfs /dev/sdb rw"))
        try addProcess("102", namespace: 3, table: nil)
        let all = try tables().read()
        #expect(all.filter { $0.namespace == nil }.count == 2)
        let foreign = all.filter { $0.namespace != nil }
        #expect(foreign.map(\.mountPoint) == ["/", "/etc/hosts", "/data"])
        #expect(Set(foreign.map(\.namespace)) == [MountNamespace(inode: 3, processID: 101, command: "program")])
        #expect(try tables(.own).read().count == 2)
    }

    @Test func aNamespaceThatCountedOnceCountsOn() throws {
        try addProcess("101", namespace: 3, table: Self.container(300, "302 300 8:9 / /data rw - xfs /dev/sdb rw"))
        let tables = try tables()
        #expect(try tables.read().count == 5)
        try overwrite("proc/self/mountinfo", Self.own + "\n22 20 8:9 / /data rw - xfs /dev/sdb rw\n")
        #expect(try tables.read().count == 6)
        #expect(try self.tables().read().count == 3)
    }

    /// In place: the file that is open already.
    private func overwrite(_ path: String, _ text: String) throws {
        let file = try FileDescriptor.open(machine.root.appending(path), .writeOnly, options: .truncate)
        defer { try? file.close() }
        try file.writeAll(text.utf8)
    }

    @Test func aNamespaceThatIsNewIsFound() throws {
        let tables = try tables()
        #expect(try tables.read().count == 2)
        try addProcess("101", namespace: 3, table: Self.container(300, "302 300 8:9 / /data rw - xfs /dev/sdb rw"))
        #expect(try tables.read().count == 2, "not before it is looked for")
        try tables.findNamespaces()
        #expect(try tables.read().count == 5)
    }

    @Test func aProcessThatHasEndedIsPassedOver() throws {
        try addProcess("100", namespace: 3, table: nil)
        try addProcess("101", namespace: 3, table: Self.container(300, "302 300 8:9 / /data rw - xfs /dev/sdb rw"))
        try addProcess("102", namespace: 4, table: nil)
        let tables = try tables()
        #expect(try Set(tables.read().compactMap(\.namespace?.processID)) == [101])
        #expect(tables.unseen == [])
    }

    @Test func aThreadWithANamespaceOfItsOwnIsFound() throws {
        try addProcess("100", namespace: 1, table: Self.own)
        let disk = Self.container(300, "302 300 8:9 / /data rw - xfs /dev/sdb rw")
        for thread in 101...103 {
            try addProcess("100", thread: "\(thread)", namespace: thread == 102 ? 3 : 1, table: disk)
        }
        let tables = try tables()
        let namespace = try #require(try tables.read().last?.namespace)
        #expect(namespace == MountNamespace(inode: 3, processID: 100, threadID: 102, command: "program"))
        #expect("\(namespace)" == "the mount namespace of thread 102 of process 100 (program)")
        try tables.openRoot(of: namespace).close()
    }

    @Test func aProcessWhoseMainThreadHasEndedIsFound() throws {
        try machine.write("proc/100/task/100/comm", "program")
        let disk = Self.container(300, "302 300 8:9 / /data rw - xfs /dev/sdb rw")
        try addProcess("100", thread: "101", namespace: 3, table: disk)
        let namespace = try #require(try tables().read().last?.namespace)
        #expect(namespace.threadID == 101)
    }

    @Test func aProcessThatSeesAllOfItsNamespaceIsPreferred() throws {
        let table = Self.container(300, "302 300 8:9 / /data rw - xfs /dev/sdb rw")
        try addProcess("100", namespace: 3, table: "302 300 8:9 / /data rw - xfs /dev/sdb rw", root: "/chroot")
        try addProcess("101", namespace: 3, table: table)
        #expect(try Set(tables().read().compactMap(\.namespace?.processID)) == [101])
    }

    @Test func aProcessThatSeesAllIsFoundBehindManyThatDoNot() throws {
        for process in 100..<120 {
            try addProcess(
                "\(process)", namespace: 3, table: "300 2 0:300 / / rw - tmpfs tmpfs rw", root: "/chroot")
        }
        let disk = "302 300 8:9 / /data rw - xfs /dev/sdb rw"
        try addProcess("120", namespace: 3, table: Self.container(300, disk))
        let tables = try tables()
        #expect(try Set(tables.read().compactMap(\.namespace?.processID)) == [120])
        #expect(tables.unseen == [])
    }

    @Test func aNamespaceThatCannotBeSeenWholeIsSaid() throws {
        try addProcess("100", namespace: 3, table: "300 2 0:300 / / rw - tmpfs tmpfs rw", root: "/chroot")
        // A namespace's file by its inode number, but none that can be entered.
        let directory = machine.root.appending("proc/100/task/100/ns").string
        try machine.write("proc/100/task/100/ns/file", "")
        let attributes = try FileManager.default.attributesOfItem(atPath: "\(directory)/file")
        let inode = try #require((attributes[.systemFileNumber] as? UInt64).flatMap { Int(exactly: $0) })
        try FileManager.default.moveItem(atPath: "\(directory)/file", toPath: "\(directory)/mnt:[\(inode)]")
        try setNamespace(of: "100", inode)

        let tables = try tables()
        #expect(tables.unseen.count == 1)
        #expect(
            tables.unseen.first?.hasPrefix("Of the mount namespace of process 100 (program) only a part is seen")
                == true, "\(tables.unseen)")
        let inventory = try StorageInventory.survey(tables, paths: machine.paths)
        let plan = try FreezePlan.make(from: inventory, policy: PlanPolicy())
        let error = #expect(throws: PlanError.self) { try plan.requireComplete() }
        #expect(error?.code == .incomplete)
    }

    @Test func theRootOfAProcessThatHasMovedOnIsNotTaken() throws {
        try addProcess(
            "101", namespace: 3, table: Self.container(300, "302 300 8:9 / /data rw - xfs /dev/sdb rw"))
        let tables = try tables()
        let namespace = try #require(try tables.read().last?.namespace)
        try tables.openRoot(of: namespace).close()
        try setNamespace(of: "101", 5)
        let error = #expect(throws: LinuxSystemError.self) { try tables.openRoot(of: namespace) }
        #expect(error?.code == .unmounted)
        #expect(error?.subject == "the mount namespace of process 101 (program)")
        tables.close()
        #expect(throws: LinuxSystemError.self) { try tables.openRoot(of: namespace) }
    }

    @Test func aMountOfAnotherNamespaceIsNeverLookedUpInOurs() throws {
        let namespace = MountNamespace(inode: 3, processID: 101, command: "program")
        let mount = MountEntry(
            mountID: 1, parentID: 0, device: DeviceNumber(major: 8, minor: 1), root: "/", mountPoint: "/",
            mountOptions: "rw", filesystemType: "ext4", source: "/dev/test", superblockOptions: "rw",
            namespace: namespace)
        let plan = FreezePlan(filesystems: [
            PlannedFilesystem(device: mount.device, mount: mount, action: .freeze, reason: "test", step: 0)
        ])
        #expect(throws: LinuxSystemError.self) { try TargetOpener().open(plan) }
        #expect(throws: LinuxSystemError.self) { try TargetOpener(try tables()).open(plan) }
    }

    struct Cap: Sendable, CustomTestStringConvertible {
        let limits: MountTables.Limits
        let words: String
        var testDescription: String { words }
    }

    @Test(arguments: [
        Cap(limits: .init(namespaces: 4), words: "There are 6 more mount namespaces on this machine"),
        Cap(limits: .init(mounts: 10), words: "The mounts of 6 mount namespaces"),
        Cap(limits: .init(time: .zero), words: "There are 10 more mount namespaces"),
    ])
    func whatALimitLeavesOutIsSaid(_ cap: Cap) throws {
        for index in 0..<10 {
            let disk = "\(index * 10 + 202) \(index * 10 + 200) 8:9 / /data rw - xfs /dev/sdb rw"
            try addProcess("\(100 + index)", namespace: 10 + index, table: Self.container(index * 10 + 200, disk))
        }
        let tables = try tables(limits: cap.limits)
        let inventory = try StorageInventory.survey(tables, paths: machine.paths)
        #expect(inventory.unseen.count == 1)
        #expect(inventory.unseen.first?.hasPrefix(cap.words) == true, "\(inventory.unseen)")
        let plan = try FreezePlan.make(from: inventory, policy: PlanPolicy())
        #expect(throws: PlanError.self) { try plan.requireComplete() }
        #expect(plan.notes.contains { $0.hasPrefix(cap.words) })
    }

    @Test func anotherTableThatIsNotUnderstoodIsAnError() throws {
        try addProcess("101", namespace: 3, table: Self.container(300) + "\ngarbage")
        let error = #expect(throws: LinuxSystemError.self) { try tables().read() }
        #expect(error?.subject == "/proc/101/mountinfo")
    }

    // MARK: In the window

    @Test func inTheWindowATableIsNotReadPastTheDeadline() throws {
        let tables = try tables()
        #expect(try tables.readInWindow(until: .now + .seconds(10)).count == 2)
        let error = #expect(throws: LinuxSystemError.self) { try tables.readInWindow(until: .now) }
        #expect(error?.description.contains("it changed, and reading it again takes too long") == true)
    }

    @Test func inTheWindowWhatHasNotChangedIsTakenAsItWas() throws {
        try addProcess("101", namespace: 3, table: Self.container(300, "302 300 8:9 / /data rw - xfs /dev/sdb rw"))
        let tables = try tables()
        let before = try tables.read()
        // A file reports no change.
        try overwrite("proc/101/task/101/mountinfo", "garbage")
        #expect(try tables.readInWindow(until: .now + .seconds(10)) == before)
    }

    // MARK: Inaccessible processes

    @Test(
        arguments: [
            ("0000000000000000", "0000000000000000", "", "EACCES: quiesced lacks CAP_SYS_PTRACE"),
            (
                "0000000000200000", "0000000001200000", "",
                "EACCES: the process has more capabilities than quiesced"
            ),
            ("000001ffffffffff", "0000000000000000", "0 100000 65536", "EACCES: quiesced is in a user namespace"),
            ("000001ffffffffff", "000001ffffffffff", "0 0 4294967295", "EACCES: most likely a security module"),
            ("000001fffeffffff", "000001ffffffffff", "", "EACCES: most likely a security module"),
        ])
    func aHiddenProcessIsNamedWithTheCause(_ own: String, _ its: String, _ map: String, _ cause: String) throws {
        try addProcess("100", namespace: 1, table: Self.own)
        try machine.write("proc/self/status", "Name:\tquiesced\nCapEff:\t\(own)")
        try machine.write("proc/self/uid_map", map)
        try machine.write("proc/100/status", "Name:\tprogram\nCapPrm:\t\(its)")
        let hidden = [HiddenProcess(processID: 100, error: .permissionDenied)]
        let sentence = try #require(HiddenProcess.sentence(on: hidden, proc: machine.paths.proc))
        let start = "process 100 (program): its mount namespace may not be looked at"
        #expect(sentence.hasPrefix("\(start): \(cause)"), "\(sentence)")
        let two = HiddenProcess.sentence(on: hidden + hidden, proc: machine.paths.proc)
        #expect(two?.hasPrefix("process 100 (program) and 1 more: ") == true)
    }

    @Test func fiftyServicesWithCopiesOfOurMountsCostLittle() throws {
        let table =
            ["2 1 8:1 / / rw - ext4 /dev/sda1 rw"]
            + (2...50).map { "\($0 + 1) 2 8:\($0) / /mnt/number\($0) rw - ext4 /dev/sda\($0) rw" }
        try overwrite("proc/self/mountinfo", table.joined(separator: "\n") + "\n")
        for index in 0..<50 {
            let more = index == 49 ? "\n99 2 8:99 / /container rw - ext4 /dev/sdz rw" : ""
            try addProcess("\(100 + index)", namespace: 10 + index, table: table.joined(separator: "\n") + more)
        }
        let started = ContinuousClock.now
        let tables = try tables()
        let found = ContinuousClock.now
        let mounts = try tables.read()
        let read = ContinuousClock.now
        let plan = try FreezePlan.make(
            from: StorageInventory(mounts: mounts), policy: PlanPolicy(exclude: [.filesystemType("none")]))
        print(
            "MEASURED: 50 namespaces of 50 mounts: found in \(found - started), read in \(read - found), "
                + "planned in \(ContinuousClock.now - read)")
        #expect(mounts.count == 50 + 51, "only the namespace that has something of its own is decoded")
        #expect(plan.filesystems(.freeze).count == 51)
    }

    @Test func aLoopDeviceOfAContainerIsOrderedByItsOwnPaths() throws {
        try machine.addLoop("loop0", "7:0", backing: "/vol/disk.img")
        try addProcess(
            "101", namespace: 3,
            table: """
                300 2 0:60 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/up,workdir=/w
                301 300 8:9 / /vol rw - ext4 /dev/sdb rw
                302 300 7:0 / /data rw - xfs /dev/loop0 rw
                """)
        let inventory = try StorageInventory.survey(try tables(), paths: machine.paths)
        // The path may be the container's or ours: both count. The overlay's upper directory is on our root.
        #expect(inventory.edges == ["0:60>8:1", "7:0>8:1", "7:0>8:9"])
        let plan = try FreezePlan.make(from: inventory, policy: PlanPolicy())
        #expect(plan.steps.map { $0.map(\.mountPoint) } == [["/data"], ["/", "/vol"]])
    }
}
