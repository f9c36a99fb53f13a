import FoundationEssentials
import FreezeCore
import SystemPackage
import Testing

@testable import LinuxSystem

/// A directory that stands for /sys, /proc and /run/udev of a machine. Removed with the object.
final class MachineFixture {
    let root: FilePath

    init() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "quiesce-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        root = FilePath(directory.path)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: root.string)
    }

    var paths: SystemPaths {
        SystemPaths(
            sysfs: root.appending("sys"), proc: root.appending("proc"), udevDatabase: root.appending("udev"),
            deviceNodes: nil)
    }

    func write(_ path: String, _ text: String) throws {
        let file = root.appending(path)
        try FileManager.default.createDirectory(
            atPath: file.removingLastComponent().string, withIntermediateDirectories: true)
        try Data((text + "\n").utf8).write(to: URL(filePath: file.string))
    }

    func link(_ path: String, to target: String) throws {
        let file = root.appending(path)
        try FileManager.default.createDirectory(
            atPath: file.removingLastComponent().string, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: file.string, withDestinationPath: root.appending(target).string)
    }

    /// Adds a block device as the kernel lays it out: a directory below its parent, with links to it.
    ///
    /// - Parameter place: The directories above, from `/sys/devices` on, each with a slash after it.
    func addDevice(
        _ name: String, _ number: String, at place: String = "", partitionOf disk: String? = nil,
        slaves: [String] = []
    ) throws {
        let directory = "sys/devices/" + (disk.map { "\($0)/" } ?? place) + name
        try write("\(directory)/dev", number)
        try write("\(directory)/uevent", "MAJOR=\(number.split(separator: ":")[0])\nDEVNAME=\(name)\nDEVTYPE=disk")
        if disk != nil { try write("\(directory)/partition", "1") }
        for slave in slaves { try link("\(directory)/slaves/\(slave)", to: "sys/class/block/\(slave)") }
        try link("sys/dev/block/\(number)", to: directory)
        try link("sys/class/block/\(name)", to: directory)
    }

    /// Adds a loop device.
    func addLoop(_ name: String, _ number: String, backing file: String) throws {
        try addDevice(name, number)
        try write("sys/devices/\(name)/loop/backing_file", file)
    }

    /// Surveys this machine with a mount table given as the lines of mountinfo.
    func survey(_ table: String) throws -> StorageInventory {
        StorageInventory.survey(mounts: try MountTable.parse(Array(table.utf8)), paths: paths)
    }
}

extension StorageInventory {
    /// The edges, as text for comparing.
    var edges: [String] {
        storedOn.flatMap { user, bases in bases.map { "\(user)>\($0)" } }.sorted()
    }
}
