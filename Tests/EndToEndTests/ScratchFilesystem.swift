import Foundation
import Synchronization
import SystemPackage

/// A filesystem made for one test: image or zram device, mounted, and thawed, unmounted and removed with its object.
final class ScratchFilesystem {
    enum Kind: String, CaseIterable, Sendable {
        case ext4, xfs, btrfs

        /// The least that mkfs accepts (xfs: 300 MiB, btrfs: 109 MiB), rounded up. Images are sparse.
        var mebibytes: Int {
            switch self {
            case .ext4: 64
            case .xfs: 320
            case .btrfs: 256
            }
        }
    }

    /// What it lies on.
    enum Storage: Sendable {
        /// A loop device on a sparse image in this directory; /tmp is a tmpfs.
        case image(in: FilePath = "/tmp")
        /// Compressed memory: a block device that is not a loop device.
        case zram
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private static let count = Atomic(0)

    let kind: Kind
    let mountPoint: FilePath
    /// `/dev/loopN` or `/dev/zramN`.
    let device: FilePath
    /// Of the mount point, opened before any freeze.
    let descriptor: FileDescriptor
    private let image: FilePath?
    private var isRemoved = false

    /// - Parameters:
    ///   - options: for mkfs.
    ///   - mountOptions: for mount -o.
    init(
        _ kind: Kind, on storage: Storage = .image(), mebibytes: Int? = nil, options: [String] = [],
        mountOptions: String = "defaults"
    ) throws {
        try ScratchWorld.require()
        self.kind = kind
        let size = "\(mebibytes ?? kind.mebibytes)M"
        let name = "\(kind.rawValue)-\(Self.count.add(1, ordering: .relaxed).newValue)"
        switch storage {
        case .image(let directory):
            let image = directory.appending("\(name).img")
            try RunningProgram.output(of: "truncate", ["--size", size, image.string])
            device = FilePath(try RunningProgram.output(of: "losetup", ["--find", "--show", image.string]))
            self.image = image
        case .zram:
            device = FilePath(try RunningProgram.output(of: "scratch-zram", [size]))
            image = nil
        }
        mountPoint = FilePath("/mnt").appending(name)
        let quiet = kind == .ext4 ? ["-q", "-F"] : ["-q", "-f"]
        try RunningProgram.output(of: FilePath("mkfs.\(kind.rawValue)"), quiet + options + [device.string])
        try RunningProgram.output(of: "scratch-superblock", ["show", device.string])
        try RunningProgram.output(of: "mkdir", ["-p", mountPoint.string])
        try RunningProgram.output(of: "mount", ["-o", mountOptions, device.string, mountPoint.string])
        descriptor = try .open(mountPoint, .readOnly, options: [.closeOnExec, .directory])
        ThawWatchdog.watch(descriptor, named: mountPoint.string)
    }

    deinit { try? remove() }

    /// Freezes it as anybody on the machine might: with util-linux's fsfreeze.
    func freeze(within limit: Duration = .seconds(10)) throws {
        try RunningProgram.output(of: "fsfreeze", ["--freeze", mountPoint.string], within: limit)
    }

    func thaw(within limit: Duration = .seconds(10)) throws {
        try RunningProgram.output(of: "fsfreeze", ["--unfreeze", mountPoint.string], within: limit)
    }

    /// The proof: see `FreezeProof`.
    func isFrozen(within limit: Duration = .seconds(5)) throws -> Bool {
        try FreezeProof.isFrozen(mountPoint, within: limit)
    }

    /// Thaws it if need be, unmounts it everywhere it was mounted, and removes device and image. Once.
    ///
    /// What it is stored on must not be frozen: unmounting writes.
    func remove() throws {
        if isRemoved { return }
        isRemoved = true
        _ = try RunningProgram.run("fsfreeze", ["--unfreeze", mountPoint.string])  // EINVAL: it was not frozen
        ThawWatchdog.unwatch(descriptor)
        try descriptor.close()
        try Self.retryingWhileBusy("umount", ["--all-targets", "--recursive", mountPoint.string])
        _ = try RunningProgram.run("scratch-superblock", ["hide", device.string])  // its device may have failed
        if let image {
            try RunningProgram.output(of: "losetup", ["--detach", device.string])
            try RunningProgram.output(of: "rm", [image.string])
        } else {
            let number = device.string.drop { !$0.isNumber }
            try Self.retryingWhileBusy("sh", ["-c", "echo \(number) > /sys/class/zram-control/hot_remove"])
        }
        try RunningProgram.output(of: "rmdir", [mountPoint.string])
    }

    /// Anybody on the machine who lists block devices has them open for a moment, and with a loop device its image.
    private static func retryingWhileBusy(_ program: FilePath, _ arguments: [String]) throws {
        let deadline = ContinuousClock.now + .seconds(5)
        while true {
            let (ending, _, errors) = try RunningProgram.run(program, arguments)
            if ending == .exited(0) { return }
            guard errors.contains("busy"), ContinuousClock.now < deadline else {
                throw Failure(description: "\(program) \(arguments.joined(separator: " ")): \(ending): \(errors)")
            }
            usleep(20_000)  // There is no event for it.
        }
    }
}
