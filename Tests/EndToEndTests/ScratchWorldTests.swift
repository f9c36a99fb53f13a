import Foundation
import Synchronization
import SystemPackage
import Testing

/// The helpers themselves: what they say must hold before any other end-to-end test can be believed.
extension EndToEnd {
    @Suite struct ScratchWorldTests {
        @Test(arguments: ScratchFilesystem.Kind.allCases)
        func `a freeze is proven, and so is a thaw`(kind: ScratchFilesystem.Kind) throws {
            let filesystem = try ScratchFilesystem(kind)
            #expect(try !filesystem.isFrozen())
            try filesystem.freeze()
            #expect(try filesystem.isFrozen())
            try filesystem.thaw()
            #expect(try !filesystem.isFrozen())
            try filesystem.remove()
        }

        @Test func `btrfs subvolumes freeze as one`() throws {
            let filesystem = try ScratchFilesystem(.btrfs)
            let other: FilePath = "/mnt/subvolume"
            try RunningProgram.output(
                of: "btrfs", ["subvolume", "create", filesystem.mountPoint.appending("other").string])
            try RunningProgram.output(of: "mkdir", [other.string])
            try RunningProgram.output(
                of: "mount", ["-o", "subvol=other", filesystem.device.string, other.string])
            try RunningProgram.output(of: "fsfreeze", ["--freeze", other.string])
            #expect(try filesystem.isFrozen())
            try filesystem.remove()
        }

        @Test func `a filesystem inside a file of another`() throws {
            let outer = try ScratchFilesystem(.ext4, mebibytes: 256)
            let inner = try ScratchFilesystem(.ext4, on: .image(in: outer.mountPoint))
            try inner.freeze()
            try outer.freeze()
            #expect(try inner.isFrozen() && outer.isFrozen())
            try outer.thaw()
            try inner.remove()
            try outer.remove()
        }

        @Test(
            .needs("a kernel with zram", toTest: "a filesystem on zram") {
                FileManager.default.fileExists(atPath: "/sys/class/zram-control")
            })
        func `a filesystem on zram`() throws {
            let filesystem = try ScratchFilesystem(.ext4, on: .zram)
            try filesystem.freeze()
            #expect(try filesystem.isFrozen())
            try filesystem.remove()
            #expect(!FileManager.default.fileExists(atPath: "/sys/block/\(filesystem.device.string.dropFirst(5))"))
        }

        @Test func `the watchdog frees a stuck writer`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            try filesystem.freeze()
            let watchdog = ThawWatchdog(over: "a test that waits for it", after: .milliseconds(200))
            let writer = try RunningProgram("touch", [filesystem.mountPoint.appending("file").string])
            #expect(try writer.waitForExit() == .exited(0))
            #expect(watchdog.end())
            #expect(try !filesystem.isFrozen())
        }

        @Test func `the watchdog frees the world's root`() throws {
            try RunningProgram.output(of: "fsfreeze", ["--freeze", "/"])
            let watchdog = ThawWatchdog(over: "a test that froze the root", after: .milliseconds(200))
            try RunningProgram.output(of: "touch", ["/written"])
            #expect(watchdog.end())
        }

        @Test func `a program's lines, signals and ending`() throws {
            let program = try RunningProgram(
                "bash",
                ["-c", "trap 'echo caught >&2' TERM; echo ready >&2; read -r line; echo \"$line\"; exit 3"])
            try program.waitForLine { $0 == "ready" }
            program.send(SIGTERM)
            try program.waitForLine { $0 == "caught" }
            #expect(throws: RunningProgram.Failure.self) { try program.waitForExit(within: .milliseconds(50)) }
            try program.write("hello\n")
            #expect(try program.waitForExit() == .exited(3))
            #expect(program.text(of: .output) == "hello\n")
            let sleeper = try RunningProgram("sleep", ["1000"])
            sleeper.send(SIGKILL)
            #expect(try sleeper.waitForExit() == .killed(signal: SIGKILL))
        }
    }
}

/// The guard needs no world.
@Suite struct ScratchWorldGuardTests {
    static let devices = "Block devices:\n  7 loop\n253 zram\n254 virtblk\n"
    static let world = "63 42 7:0 / / rw - ext4 /dev/loop0 rw\n64 63 0:22 / /sys rw shared:1 - sysfs sysfs rw\n"

    @Test(arguments: [
        "65 63 254:0 / /mnt rw - ext4 /dev/vda rw",
        "65 63 254:0 /home /mnt rw shared:7 master:1 - ext4 /dev/vda rw",
        "65 63 0:40 / /mnt rw - btrfs /dev/vdb rw",
        "65 63 0:40 / /mnt rw - btrfs none rw",
        "65 63 gibberish",
    ])
    func `refuses a mount that is no scratch one`(mount: String) {
        #expect(throws: ScratchWorld.Refusal.self) {
            try ScratchWorld.require(
                environment: ["QUIESCE_SCRATCH_WORLD": "1"], mountTable: Self.world + mount, devices: Self.devices)
        }
    }

    @Test(arguments: [[:], ["QUIESCE_SCRATCH_WORLD": ""], ["QUIESCE_SCRATCH_WORLD": "0"]])
    func `refuses an environment that is no scratch world's`(environment: [String: String]) {
        #expect(throws: ScratchWorld.Refusal.self) {
            try ScratchWorld.require(environment: environment, mountTable: Self.world, devices: Self.devices)
        }
    }

    @Test(arguments: [
        "", "65 63 7:12 / /mnt rw - xfs /dev/loop12 rw", "65 63 253:1 / /mnt rw - ext4 /dev/zram1 rw",
        "65 63 0:40 /sub /mnt rw - btrfs /dev/loop3 rw", "65 63 0:41 / /o rw - overlay overlay rw,lowerdir=/",
    ])
    func `accepts a scratch world`(mount: String) throws {
        try ScratchWorld.require(
            environment: ["QUIESCE_SCRATCH_WORLD": "1"], mountTable: Self.world + mount, devices: Self.devices)
    }
}
