import FoundationEssentials
import FreezeCore
import Presentation
import SystemPackage
import Testing

@Suite struct PlanTableTests {
    @Test func theTableOfASmallMachine() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/srv/loop", "xfs", "7:0")
        try fixture.mount("/boot/efi", "vfat", "8:2")
        try fixture.mount("/tmp", "tmpfs", "0:9", source: "tmpfs")
        try fixture.store("7:0", on: "8:1")
        #expect(
            PlanTable(try fixture.plan()).lines.joined(separator: "\n") == """
                ORDER  ACTION  MOUNT POINT  TYPE   WHY
                1      freeze  /srv/loop    xfs    writable xfs; before /, which holds its image
                                                   file
                2      freeze  /            ext4   writable ext4
                -      sync    /boot/efi    vfat   the kernel has no freeze for vfat: flushed
                                                   only
                -      skip    /tmp         tmpfs  in memory only

                2 to freeze, 1 to sync, 1 to skip; frozen in 2 steps, thawed in reverse.
                Crash-consistent at best, because of /boot/efi.
                """)
    }

    @Test(arguments: [40, 60, 80, 132])
    func nothingIsLostAndNoLineIsTooLong(_ width: Int) throws {
        var fixture = try StorageFixture.everything()
        let long = "/var/lib/kubelet/pods/" + String(repeating: "0123456789abcdef-", count: 8) + "/volumes/mount"
        try fixture.mount(FilePath(long), "xfs", "8:99")
        fixture.inventory.notes = [
            "/x: its device did not answer within 2 s, so its UUID and label are not known."
        ]
        let text = PlanTable(try fixture.plan(), width: width).lines.joined(separator: "\n")
        for line in text.split(separator: "\n") where width >= 60 {
            #expect(line.displayWidth <= width, "\(line)")
        }
        // Put the pieces of the mount point column together again.
        let header = try #require(text.split(separator: "\n").first)
        let start = try #require(header.firstRange(of: "MOUNT POINT")).lowerBound
        let end = try #require(header.firstRange(of: "TYPE")).lowerBound
        let column =
            header.distance(from: header.startIndex, to: start)..<header.distance(from: header.startIndex, to: end)
        let pieces = text.split(separator: "\n").map { line in
            String(line.dropFirst(column.lowerBound).prefix(column.count)).filter { $0 != " " }
        }
        #expect(pieces.joined().contains(long))
    }

    @Test func controlCharactersDoNotReachTheTerminal() throws {
        var fixture = StorageFixture()
        try fixture.mount("/\u{1B}[31m\nred", "weird\u{7}fs", "8:1", source: "/dev/\u{1B}c")
        fixture.inventory.notes = ["bad \u{1B}[2J note"]
        let plan = try fixture.plan()
        let text = PlanTable(plan).lines.joined(separator: "\n")
        #expect(text.contains("/\\033[31m"))
        #expect(text.unicodeScalars.allSatisfy { $0.value >= 0x20 || $0 == "\n" })
    }

    @Test func anEmptyPlanSaysSo() {
        #expect(
            PlanTable(FreezePlan(filesystems: [])).lines
                == ["0 to freeze, 0 to sync, 0 to skip: there is no filesystem to freeze."])
    }
}

@Suite struct PlanDocumentTests {
    @Test func theKeysAreStable() throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var fixture = StorageFixture()
        try fixture.mount("/a b", "ext4", "8:1")
        try fixture.mount("/loop", "xfs", "7:0")
        try fixture.store("7:0", on: "8:1")
        try fixture.identify("7:0", FilesystemIdentity(uuid: "u-1", label: "two words\u{1}"))
        let text = String(decoding: try encoder.encode(PlanDocument(try fixture.plan())), as: UTF8.self)
        #expect(
            text == #"{"filesystems":["#
                + #"{"action":"freeze","device":"7:0","flushed_through":"filesystem","label":"two words\u0001","lowers_level":false,"#
                + #""mount_namespace":null,"mount_point":"/loop","order":1,"#
                + #""order_reason":"before /a\\040b, which holds its image file","other_mount_points":[],"reason":"writable xfs","#
                + #""source":"/dev/7:0","stored_on":["/a\\040b"],"type":"xfs","uuid":"u-1"},"#
                + #"{"action":"freeze","device":"8:1","flushed_through":"filesystem","label":null,"lowers_level":false,"#
                + #""mount_namespace":null,"mount_point":"/a\\040b","order":2,"order_reason":null,"other_mount_points":[],"reason":"writable ext4","#
                + #""source":"/dev/8:1","stored_on":[],"type":"ext4","uuid":null}],"#
                + #""notes":[],"#
                + #""summary":"2 to freeze, 0 to sync, 0 to skip; frozen in 2 steps, thawed in reverse.","unreachable":[]}"#
        )
    }

    @Test func `a filesystem that lowers the level for two reasons is counted once`() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/looped", "vfat", "259:0")
        fixture.inventory.hiddenStorage[DeviceNumber(major: 259, minor: 0)] = .nvmeLoop
        let document = PlanDocument(try fixture.plan())
        #expect(document.summary.hasSuffix(". Crash-consistent at best, because of /looped."))
        #expect(document.filesystems.map(\.lowersLevel) == [false, true])
    }

    @Test func whatIsFlushedThroughItsDeviceIsSaid() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/ntfs", "fuseblk", "8:2")
        try fixture.mount("/tmp", "tmpfs", "0:20")
        let filesystems = PlanDocument(try fixture.plan()).filesystems
        #expect(filesystems.map(\.flushedThrough) == ["filesystem", "device", nil])
        #expect(filesystems.map(\.lowersLevel) == [false, true, false])
    }
}
