import Foundation
import SystemPackage

/// A process with a mount namespace of its own, as the first one of a container has. Killed with its object.
final class ScratchContainer {
    let program: RunningProgram

    /// - Parameter script: what it does in its namespace, a copy of the world's, before it stays and waits.
    init(_ script: String) throws {
        try ScratchWorld.require()
        program = try RunningProgram(
            "unshare", ["--mount", "--propagation", "private", "sh", "-ec", "\(script)\necho ready; exec cat"])
        try program.waitForLine(in: .output) { $0 == "ready" }
        // The name it has from here on.
        let process = processID
        try wait(for: "the container's last program") {
            try String(contentsOfFile: "/proc/\(process)/comm", encoding: .utf8) == "cat\n"
        }
    }

    deinit { program.send(SIGKILL) }

    var processID: pid_t { program.processIdentifier }

    /// The way from outside to a path of its namespace.
    func path(_ path: FilePath) -> FilePath { FilePath("/proc/\(processID)/root\(path)") }

    /// Runs a program in its namespace.
    func run(_ arguments: String...) throws {
        try RunningProgram.output(of: "nsenter", ["--target", "\(processID)", "--mount"] + arguments)
    }

    func end() throws {
        program.send(SIGKILL)
        try program.waitForExit()
    }
}

/// A filesystem that nobody but a container mounts, and of which no test holds a descriptor: it ends with its last
/// mount, as soon as nobody has frozen it.
struct UnheldFilesystem {
    let device: FilePath
    let mountPoint: FilePath
    private let image: String

    init(_ name: String, type: String = "ext4", mebibytes: Int = 32) throws {
        try ScratchWorld.require()
        image = "/tmp/\(name.replacing("/", with: "-")).img"
        mountPoint = FilePath("/mnt/\(name)")
        try RunningProgram.output(of: "truncate", ["--size", "\(mebibytes)M", image])
        try RunningProgram.output(of: FilePath("mkfs.\(type)"), ["-q", type == "ext4" ? "-F" : "-f", image])
        device = FilePath(try RunningProgram.output(of: "losetup", ["--find", "--show", image]))
        try RunningProgram.output(of: "mkdir", ["-p", mountPoint.string])
        try show()
    }

    /// Shows the filesystem in /sys/fs, as the kernel does outside of a scratch world. Call again for a remade
    /// filesystem.
    func show() throws { try RunningProgram.output(of: "scratch-superblock", ["show", device.string]) }

    var mountCommand: String { "mount \(device) \(mountPoint)" }

    /// Waits until the kernel has let go of it.
    func waitForEnd() throws {
        let name = device.lastComponent?.string ?? ""
        try wait(for: "the end of the filesystem on \(device)") {
            let places = ["ext4/\(name)", "xfs/\(name)", "btrfs/*/devices/\(name)"].map { "/run/sysfs/fs/\($0)" }
            return try RunningProgram.run("sh", ["-c", "ls -d \(places.joined(separator: " "))"]).output.isEmpty
        }
    }

    func remove() throws {
        try waitForEnd()
        try RunningProgram.output(of: "scratch-superblock", ["hide", device.string])
        try RunningProgram.output(of: "losetup", ["--detach", device.string])
        try RunningProgram.output(of: "rm", [image])
    }
}
