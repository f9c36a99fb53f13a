import FreezeCore
import SystemPackage
import Testing

@testable import LinuxSystem

@Suite struct MountTableTests {
    private func parse(_ text: String) throws -> [MountEntry] {
        try MountTable.parse(Array(text.utf8))
    }

    @Test func everyFieldIsDecoded() throws {
        let entries = try parse(
            "36 35 98:0 /sub\\040dir /mnt/a\\040b\\012c\\134d\\011e rw,noatime master:1 shared:2 - ext3 "
                + "/dev/r\\040t rw,errors=continue\n")
        #expect(
            entries == [
                MountEntry(
                    mountID: 36, parentID: 35, device: DeviceNumber(major: 98, minor: 0), root: "/sub dir",
                    mountPoint: "/mnt/a b\nc\\d\te", mountOptions: "rw,noatime", filesystemType: "ext3",
                    source: "/dev/r t", superblockOptions: "rw,errors=continue")
            ])
    }

    @Test(arguments: ["/a\\054ro", "/a,ro"])
    func aCommaInASubvolumesNameSeparatesNoOptions(_ name: String) throws {
        let line = "36 35 0:44 /a,ro /home rw,relatime - btrfs /dev/sda rw,ssd,subvolid=256,subvol=\(name)\n"
        let entry = try #require(try parse(line).first)
        #expect(!entry.isSuperblockReadOnly)
        #expect(entry.superblockOptions.path("subvol") == "/a,ro")
    }

    @Test(arguments: ["36 35 8:1 / / rw - ext4 /dev/sda", "36 35 8:1 / / rw ext4 /dev/sda rw"])
    func aLineWithoutOptionsOfTheSuperblockIsNotUnderstood(_ line: String) {
        #expect(throws: LinuxSystemError.self) { try parse(line + "\n") }
    }

    @Test func bytesThatAreNotUTF8AreKept() throws {
        let line = Array("36 35 98:0 / /mnt/".utf8) + [0xFF, 0xFE] + Array(" rw - ext4 /dev/sda rw\n".utf8)
        let entry = try #require(try MountTable.parse(line).first)
        #expect(entry.mountPoint.bytes == Array("/mnt/".utf8) + [0xFF, 0xFE])
        #expect(entry.mountPoint.escaped == "/mnt/\\377\\376")
    }

    @Test(arguments: ["none", "/dev/root", "", "server:/export", "UUID=1234"])
    func sourcesAreTakenAsTheyAre(_ source: String) throws {
        // With /dev/root libmount would go looking for the real device.
        let entry = try #require(try parse("36 35 98:0 / / rw - ext4 \(source) rw\n").first)
        #expect(entry.source == source)
        #expect(entry.superblockOptions == "rw")
    }

    @Test(arguments: ["/mnt/x\\040(deleted)", "/mnt/x//deleted", "/mnt/x\\040(deleted)\\001", "/mnt/a\\043b\u{7}"])
    func aNameThatOnlyLooksDeletedIsKept(_ mangled: String) throws {
        let entry = try #require(try parse("36 35 98:0 / \(mangled) rw - ext4 /dev/sda rw\n").first)
        let expected = mangled.replacing("\\040", with: " ").replacing("\\001", with: "\u{1}")
            .replacing("\\043", with: "#")
        #expect(entry.mountPoint == FilePath(expected))
    }

    @Test func ofSuperblocksThatAreNotKnownOneLineIsKept() throws {
        let known = [DeviceNumber(major: 8, minor: 1), DeviceNumber(major: 0, minor: 20)]
        let text = """
            36 35 8:1 / / rw - ext4 /dev/sda rw
            37 36 8:17 / /a rw - ext4 /dev/sdb rw
            38 36 0:20 / /proc rw - proc proc rw
            39 36 0:200 / /b rw - tmpfs tmpfs rw
            41 36 0:200 / /c rw - tmpfs tmpfs rw
            42 36 0:20 / /d/proc rw - proc proc rw
            43 36 8:17 / /e rw - ext4 /dev/sdb rw
            40 36
            garbage

            """
        let lines = MountTable.lines(of: Array(text.utf8), notOn: Set(known))
        #expect(
            String(decoding: lines, as: UTF8.self)
                == "37 36 8:17 / /a rw - ext4 /dev/sdb rw\n39 36 0:200 / /b rw - tmpfs tmpfs rw\n40 36\ngarbage\n")
    }

    @Test(arguments: [
        "36 35 0:4 net:[4026531840] /run/netns/a rw shared:9 - nsfs nsfs rw",
        "36 35 0:4 mnt:[4026532441] /run/snapd/ns/x.mnt rw - nsfs nsfs rw",
    ])
    func aNamespaceThatIsBoundToAFileIsNoFilesystem(_ line: String) throws {
        #expect(try parse(line + "\n").map(\.kind) == [.kernel])
    }

    @Test(arguments: [
        "garbage\n", "36 35 98:0 / / rw - ext4 /dev/sda rw\ngarbage\n", "36 35 98:0 / /mnt rw\n",
        "36 35 / / rw - ext4 /dev/sda rw\n",
        "/dev/sda / ext4 rw 0 0\n", "/dev/sda / ext4\n", "36 35 98:0 / rw shared:1 - ext4 /dev/sda rw\n",
        "Filename\tType\tSize\tUsed\tPriority\n/swap file 1 0 -2\n",
    ])
    func aLineThatIsNotUnderstoodIsAnError(_ text: String) {
        let error = #expect(throws: LinuxSystemError.self) { try parse(text) }
        #expect(error?.code == .mountTable)
        #expect(error?.subject == "/proc/self/mountinfo")
    }

    @Test func anEmptyTableIsEmpty() throws {
        #expect(try parse("") == [])
    }

    @Test func bigDeviceNumbers() throws {
        let entry = try #require(try parse("36 35 4095:1048575 / / rw - ext4 /dev/sda rw\n").first)
        #expect(entry.device == DeviceNumber(major: 4095, minor: 1_048_575))
    }

    @Test func thisMachine() throws {
        let watch = try MountTableWatch()
        let entries = try watch.read()
        let root = try #require(entries.last { $0.mountPoint == "/" })
        #expect(entries.filter { $0.mountPoint == "/proc" }.map(\.filesystemType).contains("proc"))
        #expect(!watch.hasChanged())
        #expect(try watch.read() == entries)
        #expect(root.mountID > 0)
    }

    @Test func aTableLongerThanOneReadIsComplete() throws {
        let machine = try MachineFixture()
        let lines = (1...5000).map { "\($0 + 1) 1 8:\($0) / /mnt/number\($0) rw - ext4 /dev/sda\($0) rw" }
        try machine.write("table", lines.joined(separator: "\n"))
        let entries = try MountTable.read(machine.root.appending("table"))
        #expect(entries.count == 5000)
        #expect(entries.last?.mountPoint == "/mnt/number5000")
    }

    @Test func aMissingTableIsNamed() throws {
        let error = #expect(throws: LinuxSystemError.self) { try MountTable.read("/proc/1/nothing\n") }
        #expect(error?.subject == "/proc/1/nothing\\012")
        #expect(error?.underlyingError == .noSuchFileOrDirectory)
    }
}
