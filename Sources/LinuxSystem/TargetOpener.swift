import FreezeCore
import LinuxCalls
import SystemPackage

/// Opens the mount points of a plan, once: from then on the descriptors stand for the filesystems, and no path is
/// looked up again.
public struct TargetOpener: Sendable {
    /// A filesystem of the plan, and a descriptor on the filesystem or the block device. The holder closes the
    /// descriptor.
    public struct Target: Hashable, Sendable {
        public let filesystem: PlannedFilesystem
        public let descriptor: FileDescriptor

        /// Writes out dirty data. Blocks for as long as the device takes.
        public func flush() throws(Errno) {
            if filesystem.isFlushedThroughDevice {
                try FilesystemFreezing.flushDevice(descriptor)
            } else {
                try FilesystemFreezing.flush(descriptor)
            }
        }
    }

    /// For what the process has open besides: channels, hooks' pipes, the freezer's socket.
    private static let otherDescriptors = 512

    private let root: FilePath
    private let tables: MountTables?
    private let devices: BlockDevices

    /// - Parameters:
    ///   - tables: what the plan was made from; needed if it has mounts of other namespaces.
    ///   - root: the directory that the mount points of our own namespace are below.
    ///   - paths: where block devices are looked up.
    public init(_ tables: MountTables? = nil, root: FilePath = "/", paths: SystemPaths = .live) {
        self.root = root
        self.tables = tables
        devices = BlockDevices(paths: paths)
    }

    /// Opens everything that the plan freezes or syncs, in its order. May block for as long as a local disk takes to
    /// look a directory up: give it a thread and a deadline.
    ///
    /// - Parameter isWanted: Asked before each; if not, nothing more is opened, and what is given is not all.
    /// - Throws: `LinuxSystemError` that names the mount point; then nothing is left open.
    public func open(
        _ plan: FreezePlan, isWanted: () -> Bool = { true }
    ) throws(LinuxSystemError) -> [Target] {
        let wanted = plan.filesystems.filter { $0.action != .skip }
        // Each, and the count of what is written to it. If it fails, opening will say that descriptors ran out.
        try? DescriptorLimit.makeRoom(for: 2 * wanted.count, reserve: Self.otherDescriptors)
        let roots = NamespaceRoots(root, tables)
        var targets: [Target] = []
        do throws(LinuxSystemError) {
            for filesystem in wanted where isWanted() {
                targets.append(
                    filesystem.isFlushedThroughDevice
                        ? try openDevice(of: filesystem) : try open(filesystem, below: roots))
            }
        } catch {
            TargetOpener.close(targets)
            throw error
        }
        return targets
    }

    /// Closes them. Nothing was written through them, so there is nothing a failing close could tell.
    public static func close(_ targets: [Target]) {
        for target in targets { try? target.descriptor.close() }
    }

    private func openDevice(of filesystem: PlannedFilesystem) throws(LinuxSystemError) -> Target {
        do throws(Errno) {
            return Target(filesystem: filesystem, descriptor: try devices.open(filesystem.device))
        } catch {
            throw .openingDevice(of: filesystem.mount, error)
        }
    }

    private func open(
        _ filesystem: PlannedFilesystem, below roots: NamespaceRoots
    ) throws(LinuxSystemError) -> Target {
        let first: LinuxSystemError
        do throws(LinuxSystemError) {
            return try open(filesystem, through: filesystem.mount, asDirectory: true, below: roots)
        } catch {
            first = error
        }
        // A bind mount of a single file is no directory. Another mount may be one; if there is none, a file will do:
        // the ioctl goes to the filesystem (open-vm-tools #347: sockets and files as mount points).
        if filesystem.mount.showsWholeFilesystem || first.underlyingError != .notDirectory { throw first }
        for mount in filesystem.alternatives {
            if let target = try? open(filesystem, through: mount, asDirectory: true, below: roots) {
                return target
            }
        }
        // A socket cannot be opened at all (ENXIO).
        for mount in [filesystem.mount] + filesystem.alternatives {
            if let target = try? open(filesystem, through: mount, asDirectory: false, below: roots) {
                return target
            }
        }
        return try open(filesystem, through: filesystem.mount, asDirectory: false, below: roots)
    }

    private func open(
        _ filesystem: PlannedFilesystem, through mount: MountEntry, asDirectory: Bool, below roots: NamespaceRoots
    ) throws(LinuxSystemError) -> Target {
        let mayWait = !filesystem.isBelowAutomount
        // Not opened yet: the open could hang on a mount made there since the plan.
        let found =
            filesystem.isCovered
            ? try findCovered(mount, asDirectory: asDirectory, mayWait: mayWait)
            : try find(mount, asDirectory: asDirectory, mayWait: mayWait, below: roots)
        defer { try? found.close() }
        do throws(Errno) {
            let descriptor = try MountPointOpening.open(found: found)
            return Target(filesystem: filesystem.reached(through: mount), descriptor: descriptor)
        } catch {
            throw .opening(mount, error)
        }
    }

    private func find(
        _ mount: MountEntry, asDirectory: Bool, mayWait: Bool, below roots: NamespaceRoots
    ) throws(LinuxSystemError) -> FileDescriptor {
        let root = try roots.descriptor(for: mount.namespace)
        let found: FileDescriptor
        let mountID: UInt64
        do throws(Errno) {
            found = try MountPointOpening.findPatiently(
                mount.mountPoint, below: root, mustBeDirectory: asDirectory, mayWait: mayWait)
        } catch {
            throw .opening(mount, error)
        }
        do throws(Errno) {
            mountID = try MountPointOpening.mountID(of: found)
        } catch {
            try? found.close()
            throw .opening(mount, error)
        }
        // An unmount since the plan was made leaves a directory of the filesystem below: that one, often `/`, must not be
        // frozen in its place. (st_dev would not do: on btrfs it is the subvolume's.)
        guard mountID == mount.mountID else {
            try? found.close()
            throw mountID == mount.parentID ? .unmounted(mount) : .replaced(mount)
        }
        return found
    }

    private func findCovered(
        _ mount: MountEntry, asDirectory: Bool, mayWait: Bool
    ) throws(LinuxSystemError) -> FileDescriptor {
        var namespace: OwnedDescriptor?
        if let other = mount.namespace, let tables { namespace = OwnedDescriptor(try tables.openNamespace(other)) }
        do throws(Errno) {
            return try CoveredMount.find(mount, mustBeDirectory: asDirectory, mayWait: mayWait, in: namespace)
        } catch {
            throw error == .invalidArgument || error == .timedOut
                ? .covered(mount, error) : .opening(mount, error)
        }
    }
}

extension MountPointOpening {
    /// A mount point's whole path is in the kernel's cache as long as it is mounted, so the look-up that waits for
    /// nobody succeeds; only on old kernels, or under pressure, the other one is needed.
    static func findPatiently(
        _ path: FilePath, below root: FileDescriptor, mustBeDirectory: Bool, mayWait: Bool
    ) throws(Errno) -> FileDescriptor {
        do throws(Errno) {
            return try find(path, below: root, mustBeDirectory: mustBeDirectory, patience: .cacheOnly)
        } catch {
            // EAGAIN: not in the cache, or renamed meanwhile. EINVAL: before Linux 5.12.
            guard mayWait, error == .resourceTemporarilyUnavailable || error == .invalidArgument else {
                throw error
            }
        }
        return try find(path, below: root, mustBeDirectory: mustBeDirectory, patience: .mayBlock)
    }
}

extension LinuxSystemError {
    fileprivate static func opening(_ mount: MountEntry, _ errno: Errno) -> LinuxSystemError {
        let name = mount.place
        switch errno {
        case .noSuchFileOrDirectory:
            return .unmounted(mount, errno)
        case .tooManyOpenFiles:
            return LinuxSystemError(
                .tooManyFiles, mountPoint: mount.mountPoint, subject: name,
                problem: "no descriptor is left for it",
                remedy: "Raise LimitNOFILE= of the service: it needs three for each filesystem.",
                underlyingError: errno)
        case .tooManyOpenFilesInSystem:
            return LinuxSystemError(
                .tooManyFiles, mountPoint: mount.mountPoint, subject: name,
                problem: "the system has no descriptor left for it",
                remedy: "Raise the sysctl fs.file-max.", underlyingError: errno)
        case .resourceTemporarilyUnavailable, .tooManySymbolicLinkLevels:
            return LinuxSystemError(
                .unreachable, mountPoint: mount.mountPoint, subject: name,
                problem: "it cannot be reached without a risk of hanging",
                remedy: "See whether its automount works, or exclude it in [filesystems] exclude.",
                underlyingError: errno)
        default:
            return LinuxSystemError(
                .open, mountPoint: mount.mountPoint, subject: name, problem: "its mount point cannot be opened",
                remedy: errno == .permissionDenied || errno == .notPermitted ? "Run as root." : nil,
                underlyingError: errno)
        }
    }

    fileprivate static func covered(_ mount: MountEntry, _ errno: Errno) -> LinuxSystemError {
        LinuxSystemError(
            .unreachable, mountPoint: mount.mountPoint, subject: mount.place,
            problem: "the mounts that cover it cannot be detached in a private copy of the mount namespace",
            remedy: "Unmount them, or exclude the filesystem in [filesystems] exclude.", underlyingError: errno)
    }

    fileprivate static func openingDevice(of mount: MountEntry, _ errno: Errno) -> LinuxSystemError {
        LinuxSystemError(
            .open, mountPoint: mount.mountPoint, subject: mount.place,
            problem: "its block device \(mount.device) cannot be opened to be flushed",
            remedy: "Check that it is in /dev, or exclude it in [filesystems] exclude.", underlyingError: errno)
    }

    fileprivate static func unmounted(_ mount: MountEntry, _ errno: Errno? = nil) -> LinuxSystemError {
        LinuxSystemError(
            .unmounted, mountPoint: mount.mountPoint, subject: mount.place,
            problem: "unmounted since the plan was made",
            remedy: "Try again.", underlyingError: errno)
    }

    fileprivate static func replaced(_ mount: MountEntry) -> LinuxSystemError {
        LinuxSystemError(
            .replaced, mountPoint: mount.mountPoint, subject: mount.place,
            problem: "another filesystem was mounted there since the plan was made", remedy: "Try again.")
    }
}
