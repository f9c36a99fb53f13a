import FreezeCore
import SystemPackage
import Testing

@testable import LinuxSystem

/// P6 needs to know what is stored on what.
@Suite struct StorageTopologyTests {
    @Test func loopInLoop() throws {
        let machine = try MachineFixture()
        try machine.addDevice("sda", "8:0")
        try machine.addDevice("sda1", "8:1", partitionOf: "sda")
        try machine.addLoop("loop0", "7:0", backing: "/srv/my images/outer.img")
        try machine.addLoop("loop1", "7:1", backing: "/outer/inner.img (deleted)")
        let inventory = try machine.survey(
            """
            20 1 8:1 / / rw - ext4 /dev/sda1 rw
            21 20 7:0 / /outer rw - ext4 /dev/loop0 rw
            22 20 7:1 / /inner rw - xfs /dev/loop1 rw

            """)
        #expect(inventory.edges == ["7:0>8:1", "7:1>7:0"])
        #expect(inventory.notes == [])
        let plan = try FreezePlan.make(from: inventory, policy: PlanPolicy())
        #expect(plan.steps.map { $0.map(\.mountPoint) } == [["/inner"], ["/outer"], ["/"]])
    }

    @Test func mapperOverArrayOverTwoPartitionsOfLoopDevices() throws {
        let machine = try MachineFixture()
        try machine.addDevice("vda", "254:0")
        try machine.addDevice("vdb", "254:16")
        try machine.addLoop("loop0", "7:0", backing: "/a/zero.img")
        try machine.addLoop("loop1", "7:1", backing: "/b/one.img")
        try machine.addDevice("loop0p1", "259:0", partitionOf: "loop0")
        try machine.addDevice("loop1p1", "259:1", partitionOf: "loop1")
        try machine.addDevice("md0", "9:0", slaves: ["loop0p1", "loop1p1"])
        try machine.addDevice("dm-0", "253:0", slaves: ["md0"])
        try machine.write("sys/devices/dm-0/dm/name", "vg-data")
        let inventory = try machine.survey(
            """
            20 1 254:0 / / rw - ext4 /dev/vda rw
            21 20 254:16 / /a rw - ext4 /dev/vdb rw
            22 20 254:32 / /b rw - ext4 /dev/vdc rw
            23 20 253:0 / /data rw - xfs /dev/mapper/vg-data rw

            """)
        #expect(inventory.edges == ["253:0>254:16", "253:0>254:32"])
        let device = DeviceNumber(major: 253, minor: 0)
        #expect(inventory.devicePaths[device] == ["/dev/dm-0", "/dev/mapper/vg-data"])
    }

    @Test func `P6 storage with a server that sysfs does not show is recognised`() throws {
        let machine = try MachineFixture()
        let iSCSI = "platform/host3/session1/target3:0:0/3:0:0:1/block/"
        for (name, number, place) in [
            ("vda", "254:0", "pci0000:00/0000:00:05.0/virtio2/block/"), ("nbd0", "43:0", "virtual/block/"),
            ("sdb", "8:16", iSCSI),
            ("sdc", "8:32", "tcm_loop_0/tcm_loop_adapter_0/host4/target4:0:1/4:0:1:0/block/"),
            ("ublkb0", "259:7", "virtual/block/"), ("rbd0", "251:0", "rbd/0/block/"),
            ("drbd0", "147:0", "virtual/block/"),
            ("vdb", "254:16", "virtual/vduse/vduse0/vdpa0/virtio3/block/"),
            ("nvme0n1", "259:0", "pci0000:00/0000:00:06.0/nvme/nvme0/"),
            ("nvme1n1", "259:1", "virtual/nvme-fabrics/ctl/nvme1/"),
            ("nvme2n1", "259:2", "virtual/nvme-subsystem/nvme-subsys2/"),
        ] {
            try machine.addDevice(name, number, at: place)
        }
        try machine.write("sys/devices/pci0000:00/0000:00:06.0/nvme/nvme0/transport", "pcie")
        try machine.write("sys/devices/virtual/nvme-fabrics/ctl/nvme1/transport", "tcp")
        try machine.write("sys/devices/virtual/nvme-fabrics/ctl/nvme2/transport", "loop")
        try machine.link(
            "sys/devices/virtual/nvme-subsystem/nvme-subsys2/nvme2",
            to: "sys/devices/virtual/nvme-fabrics/ctl/nvme2")
        // Through a partition, device-mapper, md and a loop device.
        try machine.addDevice("sdb1", "8:17", at: "\(iSCSI)sdb/", slaves: [])
        try machine.write("sys/devices/\(iSCSI)sdb/sdb1/partition", "1")
        try machine.addDevice("dm-0", "253:0", slaves: ["nbd0"])
        try machine.addDevice("md0", "9:0", slaves: ["dm-0", "vda"])
        try machine.addLoop("loop0", "7:0", backing: "/dev/sdc")
        // Of both kinds: the one that writes through a freeze, whichever is looked at first.
        try machine.addDevice("md1", "9:1", slaves: ["nbd0", "nvme2n1"])
        try machine.addDevice("md2", "9:2", slaves: ["nvme2n1", "nbd0"])
        try machine.addDevice("dm-1", "253:1", slaves: ["nvme2n1"])
        try machine.addDevice("md3", "9:3", slaves: ["dm-1", "sdb"])
        let expected: [(String, HiddenStorage?)] = [
            ("254:0", nil), ("43:0", .nbd), ("8:16", .iSCSI), ("8:32", .tcmLoop), ("259:7", .ublk),
            ("251:0", .rbd),
            ("147:0", .drbd), ("254:16", .vduse), ("259:0", nil), ("259:1", .nvmeOverFabrics),
            ("259:2", .nvmeLoop),
            ("8:17", .iSCSI), ("253:0", .nbd), ("9:0", .nbd), ("7:0", .tcmLoop),
            ("9:1", .nvmeLoop), ("9:2", .nvmeLoop), ("9:3", .nvmeLoop),
        ]
        let table = expected.enumerated().map { index, device in
            "\(20 + index) 1 \(device.0) / /\(index) rw - ext4 /dev/x rw\n"
        }.joined()
        let inventory = try machine.survey(table)
        for (number, storage) in expected {
            let device = try #require(DeviceNumber(number))
            #expect(inventory.hiddenStorage[device] == storage, "\(number)")
        }
    }

    @Test func everyMemberOfABtrfsCounts() throws {
        let machine = try MachineFixture()
        try machine.addDevice("sda", "8:0")
        try machine.addLoop("loop3", "7:3", backing: "/store/member.img")
        for name in ["sda", "loop3"] {
            try machine.link("sys/fs/btrfs/1234-abcd/devices/\(name)", to: "sys/class/block/\(name)")
        }
        try machine.write("sys/fs/btrfs/features/big_metadata", "0")
        let inventory = try machine.survey(
            """
            20 1 8:16 / / rw - ext4 /dev/sdb rw
            21 20 8:32 / /store rw - ext4 /dev/sdc rw
            22 20 0:44 /@ /pool rw - btrfs /dev/sda rw,subvolid=256,subvol=/@

            """)
        #expect(inventory.edges == ["0:44>8:32"])
        #expect(inventory.devicePaths[DeviceNumber(major: 0, minor: 44)] == ["/dev/sda", "/dev/loop3"])
    }

    @Test func xfsLogAndExt4Journal() throws {
        let machine = try MachineFixture()
        for (name, number) in [("sda", "8:0"), ("sdb", "8:16"), ("sdc", "8:32")] {
            try machine.addDevice(name, number)
        }
        try machine.addLoop("loop0", "7:0", backing: "/log/xfs.log")
        try machine.addLoop("loop1", "7:1", backing: "/log/jbd")
        try machine.write("sys/fs/ext4/sdb/journal_task", "77")
        try machine.write("proc/77/comm", "jbd2/loop1")
        try machine.write("sys/fs/ext4/sdc/journal_task", "78")
        try machine.write("proc/78/comm", "jbd2/sdc-8")
        let inventory = try machine.survey(
            """
            20 1 8:32 / /log rw - ext4 /dev/sdc rw
            21 20 8:0 / /x rw - xfs /dev/sda rw,logdev=/dev/loop0,noquota
            22 20 8:16 / /e rw - ext4 /dev/sdb rw

            """)
        #expect(inventory.edges == ["8:0>8:32", "8:16>8:32"])
    }

    @Test func overlayIsStoredWhereItsUpperLayerIs() throws {
        let machine = try MachineFixture()
        let inventory = try machine.survey(
            """
            20 1 8:1 / / rw - ext4 /dev/sda1 rw
            21 20 8:2 / /var rw - xfs /dev/sda2 rw
            22 20 0:50 / /merged rw - overlay overlay rw,lowerdir=/l,upperdir=/var/up,workdir=/var/work

            """)
        #expect(inventory.edges == ["0:50>8:2"])
    }

    @Test(arguments: [
        // A directory named "up,upperdir=", as shown for mount(8) and for fsconfig(2).
        ("/var/up\\134\\054upperdir=/home", "8:2"), ("/var/up\\054upperdir=/home", "8:2"),
        // A directory with a backslash in its name, or without.
        ("/va\\134r/up", "8:1 8:2"),
    ])
    func whatAnOverlaysUpperDirectoryIsCalledMovesNothing(_ upper: String, _ hosts: String) throws {
        let machine = try MachineFixture()
        let inventory = try machine.survey(
            """
            20 1 8:1 / / rw - ext4 /dev/sda1 rw
            21 20 8:2 / /var rw - xfs /dev/sda2 rw
            22 20 8:3 / /home rw - xfs /dev/sda3 rw
            23 20 0:50 / /merged rw - overlay overlay rw,lowerdir=/l\\054ro,upperdir=\(upper),workdir=/var/work

            """)
        #expect(inventory.edges == hosts.split(separator: " ").map { "0:50>\($0)" })
        #expect(inventory.mounts.allSatisfy { !$0.isSuperblockReadOnly })
    }

    @Test func theSourceOfAnOverlayIsNotBelieved() throws {
        let machine = try MachineFixture()
        let inventory = try machine.survey(
            """
            20 1 8:1 / / rw - ext4 /dev/sda1 rw
            21 20 0:50 / /merged rw - overlay /dev/sda1 rw,lowerdir=/l

            """)
        #expect(inventory.edges == [])
    }

    @Test func stackedAndFUSEFilesystemsPassTheOrderOn() throws {
        let machine = try MachineFixture()
        try machine.addLoop("loop0", "7:0", backing: "/secret/disk.img")
        try machine.addLoop("loop1", "7:1", backing: "/ntfs/disk.img")
        try machine.addLoop("loop2", "7:2", backing: "/ntfs.img")
        try machine.addLoop("loop3", "7:3", backing: "/ssh/disk.img")
        let inventory = try machine.survey(
            """
            20 1 8:1 / / rw - ext4 /dev/sda1 rw
            21 20 0:50 / /secret rw - ecryptfs /home/.secret rw,ecryptfs_sig=1
            22 20 7:0 / /a rw - ext4 /dev/loop0 rw
            23 20 7:2 / /ntfs rw - fuseblk /dev/loop2 rw
            24 20 7:1 / /b rw - ext4 /dev/loop1 rw
            25 20 0:51 / /ssh rw - fuse.sshfs server: rw
            26 20 7:3 / /c rw - ext4 /dev/loop3 rw

            """)
        #expect(inventory.edges == ["0:50>8:1", "7:0>0:50", "7:1>7:2", "7:2>8:1", "7:3>0:51"])
        // A filesystem served from a block device is stored on the disks of the device.
        #expect(inventory.notes.count == 1)
        #expect(inventory.notes.first?.hasPrefix("/c is stored in the FUSE filesystem /ssh") == true)
    }

    @Test func aLoopDeviceOnANetworkFilesystemOrADisk() throws {
        let machine = try MachineFixture()
        try machine.addLoop("loop0", "7:0", backing: "/net/disk.img")
        try machine.addLoop("loop1", "7:1", backing: "/dev/loop0")
        let inventory = try machine.survey(
            """
            20 1 8:1 / / rw - ext4 /dev/sda1 rw
            21 20 0:40 / /net rw - nfs4 server:/x rw
            22 20 7:1 / /remote rw - ext4 /dev/loop1 rw

            """)
        #expect(inventory.edges == ["7:1>0:40"])
    }

    @Test func aFilesystemMountedOverItsOwnImageIsNotStoredOnItself() throws {
        let machine = try MachineFixture()
        try machine.addLoop("loop0", "7:0", backing: "/data/disk.img")
        let inventory = try machine.survey(
            """
            20 1 8:1 / / rw - ext4 /dev/sda1 rw
            21 20 7:0 / /data rw - ext4 /dev/loop0 rw

            """)
        #expect(inventory.edges == ["7:0>8:1"])
    }

    @Test func aBtrfsWithoutAKnownDeviceIsNoted() throws {
        let machine = try MachineFixture()
        let inventory = try machine.survey("20 1 0:44 / /pool rw - btrfs /dev/gone rw\n")
        #expect(inventory.notes.count == 1)
        #expect(inventory.notes.first?.hasPrefix("/pool: its device /dev/gone is not known") == true)
    }
}

@Suite struct FilesystemIdentityTests {
    @Test func udevIsAskedFirst() throws {
        let machine = try MachineFixture()
        try machine.addDevice("sda1", "8:1")
        try machine.write(
            "udev/b8:1",
            """
            S:disk/by-uuid/AB-CD
            I:123
            E:ID_FS_UUID=AB-CD
            E:ID_FS_UUID_ENC=AB-CD
            E:ID_FS_LABEL=my_disk
            E:ID_FS_LABEL_ENC=my\\x20disk\\xc3\\xa4=
            E:ID_FS_TYPE=vfat
            E:ID_PART_ENTRY_TYPE=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
            G:systemd
            """)
        let inventory = try machine.survey("20 1 8:1 / / rw - vfat /dev/sda1 rw\n")
        let device = DeviceNumber(major: 8, minor: 1)
        let identity = try #require(inventory.identities[device])
        #expect(identity.uuid == "AB-CD")
        #expect(identity.label == "my diskä=")
        #expect(identity.isEFISystemPartition)
        #expect(inventory.devicePaths[device] == ["/dev/sda1", "/dev/disk/by-uuid/AB-CD"])
    }

    @Test func aRecordWithoutAFilesystemIsNoAnswer() {
        #expect(UdevRecord(parsing: "S:disk/by-path/x\nE:ID_MODEL=y\nE:broken\n").identity == nil)
        #expect(UdevRecord(parsing: "E:ID_FS_TYPE=ext4").identity != nil)
        #expect(UdevRecord(parsing: "E:ID_FS_TYPE=x\nE:ID_FS_LABEL_ENC=a\\x2").identity?.label == "a\u{2}")
    }
}
