import FoundationEssentials
import FreezeCore
import LinuxCalls
import SystemPackage
import Testing

@testable import LinuxSystem

/// Tasks asleep inside a write, in a /proc made of files.
@Suite struct WriteHolderScanTests {
    private let machine: MachineFixture
    private static let own = """
        820 1 8:1 / / rw - ext4 /dev/sda1 rw
        821 820 0:30 / /tmp rw - tmpfs tmpfs rw
        822 820 8:2 / /data rw - xfs /dev/sdb rw
        823 820 0:40 / /merged rw - overlay overlay rw,lowerdir=/l,upperdir=/data/up,workdir=/data/w
        824 820 0:41 / /volatile rw - overlay overlay rw,lowerdir=/l,upperdir=/tmp/up,workdir=/tmp/w
        """

    init() throws {
        machine = try MachineFixture()
        try machine.write("proc/self/mountinfo", Self.own)
    }

    private func addTask(
        _ process: Int, thread: Int? = nil, wchan: String = "pipe_wait_readable",
        syscall: String = "275 0x4 0x0 0x3",
        mountID: Int? = 822, stack: String = "", mounts: String = own
    ) throws {
        let directory = "proc/\(process)/task/\(thread ?? process)"
        try machine.write("proc/\(process)/comm", "dd")
        try machine.write("\(directory)/wchan", wchan)
        try machine.write("\(directory)/syscall", syscall + " 0x0 0x0 0x0 0x7ffe 0x7f01")
        if let mountID {
            try machine.write("\(directory)/fdinfo/3", "pos:\t0\nflags:\t0100001\nmnt_id:\t\(mountID)\nino:\t12")
        }
        try machine.write("\(directory)/stack", stack)
        try machine.write("\(directory)/mountinfo", mounts)
        try machine.write(
            "\(directory)/status",
            "Name:\tdd\nUid:\t1000\t1001\t1000\t1000\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t9")
        let link = machine.root.appending("\(directory)/fd/3")
        try FileManager.default.createDirectory(
            atPath: link.removingLastComponent().string, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: link.string, withDestinationPath: "/data/file")
    }

    private func holders(kernel: String = "6.12.0") -> [WriteHolder] {
        let planned = [("/", DeviceNumber(major: 8, minor: 1)), ("/data", DeviceNumber(major: 8, minor: 2))].map {
            PlannedFilesystem(
                device: $1,
                mount: MountEntry(
                    mountID: 1, parentID: 0, device: $1, root: "/", mountPoint: FilePath($0), mountOptions: "rw",
                    filesystemType: "ext4", source: "", superblockOptions: "rw"), action: .freeze, reason: "")
        }
        return WriteHolderScan(paths: machine.paths, kernelRelease: kernel)
            .findings(on: planned, until: .now + .seconds(10)).holders
    }

    @Test func `a splice from a pipe is found, with process, user, file and sleep`() throws {
        try addTask(100, thread: 101)
        #expect(
            holders() == [
                WriteHolder(
                    processID: 100, command: "dd", userID: 1001, file: "/data/file", mountPoint: "/data",
                    write: .init(
                        threadID: 101, systemCall: "275 0x4 0x0 0x3 0x0 0x0 0x0 0x7ffe 0x7f01", progress: 0))
            ])
    }

    @Test(arguments: [
        "balance_dirty_pages", "jbd2_log_wait_commit", "io_schedule", "percpu_rwsem_wait",
        "rwsem_down_write_slowpath",
        "pipe_write", "anon_pipe_write", "0", "futex_do_wait",
    ])
    func `an ordinary writer's sleep does not count`(wchan: String) throws {
        try addTask(100, wchan: wchan, syscall: "1 0x3 0x7f00 0x1000")
        #expect(holders() == [])
    }

    @Test(arguments: ["request_wait_answer", "fuse_get_req", "__fuse_simple_request.isra.0", "handle_userfault"])
    func `a write of what a server is to send is found`(wchan: String) throws {
        try addTask(100, wchan: wchan, syscall: "1 0x3 0x7f00 0x1000")
        #expect(holders().map(\.processID) == [100])
    }

    @Test(arguments: [1, 20, 18, 296, 328, 275, 0x4000_0001, 0x4000_0000 + 516, 4, 146, 313])
    func `every system call that writes to a descriptor counts, also by a 32-bit number`(number: Int) throws {
        #if arch(x86_64)
            let place = number == 275 || number == 313 ? "0x4 0x0 0x3" : "0x3 0x7f00 0x1000"
            try addTask(100, wchan: "request_wait_answer", syscall: "\(number) \(place)")
            #expect(holders().count == 1)
        #endif
    }

    @Test func `stat has the number of a 32-bit write, and the kernel's functions tell them apart`() throws {
        #if arch(x86_64)
            let (stat, write) = (
                "fuse_do_getattr+0x1/0x2\n[<0>] vfs_statx", "fuse_readahead+0x1/0x2\n[<0>] vfs_write"
            )
            for (process, call, function) in [
                (100, "4 0x7ffd1234abcd 0x7f00", stat), (101, "4 0x3 0x7f00", stat), (102, "4 0x3 0x7f00", write),
                (103, "4 0x9 0x7f00", write),
            ] {
                try addTask(
                    process, wchan: "request_wait_answer", syscall: call,
                    stack: "[<0>] request_wait_answer+0x1/0x2\n[<0>] \(function)+0x1/0x2")
            }
            #expect(holders().map(\.processID) == [102, 103])
        #endif
    }

    @Test(arguments: [
        "0 0x3 0x7f00 0x10", "-1 0x3 0x7f00", "running", "257 0xffffff9c 0x7f00 0x1", "7 0x3 0x1 0x2",
    ])
    func `a call that writes to no descriptor does not count`(syscall: String) throws {
        try addTask(100, wchan: "request_wait_answer", syscall: syscall)
        #expect(holders() == [])
    }

    @Test func `a page counts only if it is one of the data, and a server may be the one to send it`() throws {
        let data = "[<0>] folio_wait_bit_common+0x1/0x2\n[<0>] handle_mm_fault+0xd0/0x310\n[<0>] vfs_write+0x1/0x2"
        let other = "[<0>] folio_wait_bit_common+0x1/0x2\n[<0>] ext4_write_begin+0x1/0x2\n[<0>] vfs_write+0x1/0x2"
        try addTask(100, wchan: "folio_wait_bit_common", syscall: "1 0x3 0x7f00 0x1000", stack: data)
        try addTask(101, wchan: "folio_wait_bit_common", syscall: "1 0x3 0x7f00 0x1000", stack: other)
        #expect(holders() == [])
        try machine.write("sys/fs/fuse/connections/45/waiting", "0")
        #expect(holders() == [])
        try machine.write("sys/fs/fuse/connections/46/waiting", "1")
        #expect(holders().map(\.processID) == [100])
    }

    @Test func `only a connection of the task's own user is named, and only if no other is waited for`() throws {
        let mounts = [(45, 1001), (46, 1001), (47, 0)].map { number, user in
            "9\(number) 820 0:\(number) / /f\(number) rw - fuse.x x rw,user_id=\(user),group_id=0"
        }.joined(separator: "\n")
        try machine.write("proc/self/mountinfo", "\(Self.own)\n\(mounts)")
        try addTask(
            100, wchan: "request_wait_answer", syscall: "1 0x3 0x7f00 0x1000", mounts: "\(Self.own)\n\(mounts)")
        try machine.write("sys/fs/fuse/connections/47/waiting", "1")
        #expect(holders().map(\.remedy) == ["Run `kill 100`."])
        try machine.write("sys/fs/fuse/connections/46/waiting", "1")
        #expect(holders().first?.remedy.contains("/sys/fs/fuse/connections/46/abort") == true)
        try machine.write("sys/fs/fuse/connections/45/waiting", "1")
        #expect(holders().map(\.remedy) == ["Run `kill 100`."])
    }

    @Test func `P1 a write stands still if its call and its position do, however often the task wakes up`() throws
    {
        try addTask(100, wchan: "request_wait_answer", syscall: "1 0x3 0x7f00 0x1000")
        let first = holders()
        try machine.write(
            "proc/100/task/100/status", "Name:\tdd\nUid:\t1000\t1001\t1000\t1000\nvoluntary_ctxt_switches:\t9")
        #expect(holders().map(\.write) == first.map(\.write))
        try machine.write("proc/100/task/100/fdinfo/3", "pos:\t4096\nflags:\t0100001\nmnt_id:\t822\nino:\t12")
        #expect(holders().map(\.write) != first.map(\.write))
    }

    @Test func `a splice with an offset of its own makes progress when it wakes up`() throws {
        try addTask(100, syscall: "275 0x4 0x0 0x3 0x7ffe")
        #expect(holders().map(\.write?.progress) == [7])
    }

    @Test func `P1 many writers do not hide one`() throws {
        for process in 100..<400 { try addTask(process) }
        #expect(Set(holders().map(\.processID)) == Set(100..<400))
    }

    @Test func `sendfile and copy-up count before Linux 6.8`() throws {
        try addTask(100, wchan: "request_wait_answer", syscall: "40 0x3 0x5 0x0")
        try addTask(
            101, wchan: "request_wait_answer", syscall: "257 0xffffff9c 0x7f00 0x1",
            stack: "[<0>] request_wait_answer+0x1/0x2\n[<0>] ovl_copy_up_one+0x1/0x2")
        #if arch(x86_64)
            #expect(Set(holders(kernel: "6.1.0-37-amd64").map(\.processID)) == [100, 101])
        #endif
        #expect(holders(kernel: "6.8.0") == [])
        #expect(holders(kernel: "6.18.44-fc") == [])
    }

    @Test func `the mutex of a pipe counts for splice alone`() throws {
        try addTask(100, wchan: "__mutex_lock.constprop.0")
        try addTask(101, wchan: "__mutex_lock.constprop.0", syscall: "1 0x3 0x7f00 0x1000")
        #if arch(x86_64)
            #expect(holders().map(\.processID) == [100])
        #endif
    }

    @Test(arguments: [(820, "/"), (822, "/data"), (823, "/data")])
    func `the mount gives the filesystem, through an overlay of our own`(mountID: Int, mountPoint: String)
        throws
    {
        try addTask(100, wchan: "request_wait_answer", syscall: "1 0x3", mountID: mountID)
        #expect(holders().map(\.mountPoint) == [FilePath(mountPoint)])
    }

    @Test(arguments: [821, 824])
    func `what is written to memory holds up nothing`(mountID: Int) throws {
        try addTask(100, wchan: "request_wait_answer", syscall: "1 0x3", mountID: mountID)
        #expect(holders() == [])
    }

    @Test func `in another namespace its own table counts, but not for an overlay`() throws {
        let foreign =
            "850 1 8:2 /sub / rw - xfs /dev/sdb rw\n851 850 0:60 / /o rw - overlay overlay rw,upperdir=/tmp\n"
            + "852 850 0:61 / /tmp rw - tmpfs tmpfs rw"
        for (process, mountID) in [(100, 850), (101, 851), (102, 852), (103, 899)] {
            try addTask(
                process, wchan: "request_wait_answer", syscall: "1 0x3", mountID: mountID, mounts: foreign)
        }
        let found = Dictionary(holders().map { ($0.processID, $0.mountPoint) }) { first, _ in first }
        #expect(found == [100: "/data", 101: nil, 103: nil])
    }

    @Test func `a descriptor that was closed meanwhile does not hide the write`() throws {
        try addTask(100, wchan: "request_wait_answer", syscall: "1 0x3", mountID: nil)
        #expect(holders().map(\.mountPoint) == [nil])
    }

    @Test func `a pipe or a socket is no filesystem`() throws {
        for (number, mountID) in kernelMountIDs().sorted().enumerated() {
            try addTask(100 + number, mountID: Int(mountID))
        }
        #expect(holders() == [])
    }
}
