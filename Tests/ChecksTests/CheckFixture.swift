import Configuration
import FoundationEssentials
import FreezeCore
import SystemPackage
import Testing

@testable import Checks

/// A directory that holds a machine: its /proc, its configuration. Removed with the object.
final class CheckFixture {
    let root: FilePath
    var configuration = Configuration()
    var planning = CheckSubject.Planning.plan(.sample)
    var executable: FilePath = "/usr/bin/quiescectl"
    var service = CheckSubject.Service.unreachable

    init() throws {
        root = FilePath("/tmp").appending("quiesce-check-\(UUID().uuidString)")
        try FileManager.default.createDirectory(atPath: root.string, withIntermediateDirectories: true)
        configuration.paths.run = root.appending("run")
        configuration.paths.state = root.appending("state")
        configuration.hooks.directory = root.appending("hooks.d")
        configuration.control.socket = root.appending("control.sock")
        configuration.hyperv.device = root.appending("hv_vss")
        configuration.qemu.device = root.appending("org.qemu.guest_agent.0")
    }

    deinit {
        try? FileManager.default.removeItem(atPath: root.string)
    }

    var subject: CheckSubject {
        CheckSubject(
            configuration: configuration, configurationFile: nil, planning: planning, mounts: .sample,
            executable: executable, service: service, proc: root.appending("proc"), sys: root.appending("sys"),
            auditConfiguration: root.appending("auditd.conf"), root: root)
    }

    @discardableResult
    func write(_ path: String, _ text: String, mode: Int = 0o644) throws -> FilePath {
        let file = root.appending(path)
        try FileManager.default.createDirectory(
            atPath: file.removingLastComponent().string, withIntermediateDirectories: true)
        try Data((text + "\n").utf8).write(to: URL(filePath: file.string))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file.string)
        return file
    }

    func makeDirectory(_ path: FilePath, mode: Int = 0o700) throws {
        try FileManager.default.createDirectory(atPath: path.string, withIntermediateDirectories: true)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path.string)
    }

    /// A file of firmware tables for each field.
    func setIdentity(_ fields: [String: String]) throws {
        for (field, text) in fields { try write("sys/class/dmi/id/\(field)", text) }
    }

    /// A process of a service, with a descriptor on the path.
    func addProcess(_ process: Int, _ name: String, of service: String? = nil, with path: FilePath) throws {
        try write("proc/\(process)/comm", name)
        try write("proc/\(process)/cgroup", "0::/system.slice" + (service.map { "/\($0)" } ?? ""))
        try makeDirectory(root.appending("proc/\(process)/fd"))
        try FileManager.default.createSymbolicLink(
            atPath: root.appending("proc/\(process)/fd/4").string, withDestinationPath: path.string)
    }

    /// A process with an fanotify descriptor.
    func addListener(_ process: Int, _ name: String, marks: String...) throws {
        try write("proc/\(process)/comm", name)
        try makeDirectory(root.appending("proc/\(process)/fd"))
        try FileManager.default.createSymbolicLink(
            atPath: root.appending("proc/\(process)/fd/7").string, withDestinationPath: "anon_inode:[fanotify]")
        try write(
            "proc/\(process)/fdinfo/7",
            "pos:\t0\nflags:\t02\nmnt_id:\t17\nino:\t1038\nfanotify flags:4 event-flags:8000\n"
                + marks.joined(separator: "\n"))
    }
}

extension MountEntry {
    /// Numbered as in a mount table.
    static func at(_ path: FilePath, _ id: UInt64, minor: UInt32, type: String = "ext4") -> MountEntry {
        MountEntry(
            mountID: id, parentID: 1, device: DeviceNumber(major: 254, minor: minor), root: "/", mountPoint: path,
            mountOptions: "rw", filesystemType: type, source: "/dev/vda\(minor)", superblockOptions: "rw")
    }
}

extension [MountEntry] {
    /// `/` and `/srv` would be frozen; `/var/log` is excluded.
    static let sample = [
        MountEntry.at("/", 27, minor: 0), .at("/srv", 28, minor: 19), .at("/var/log", 29, minor: 3),
    ]
}

extension FreezePlan {
    static let sample = FreezePlan(
        filesystems: [MountEntry].sample.map { mount in
            let isFrozen = mount.mountPoint != "/var/log"
            return PlannedFilesystem(
                device: mount.device, mount: mount, action: isFrozen ? .freeze : .skip, reason: "",
                step: isFrozen ? 0 : nil)
        })
}

extension [Finding] {
    /// The verdicts, and the statements that are not ok.
    var verdicts: [Finding.Verdict] { map(\.verdict) }
    var text: String { map { "\($0.statement) \($0.nextStep ?? "")" }.joined(separator: "\n") }
}
