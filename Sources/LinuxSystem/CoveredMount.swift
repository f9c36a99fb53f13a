import FreezeCore
import LinuxCalls
import Synchronization
import SystemPackage

/// A mount covered by other mounts. Any user can cover a directory of their own with a FUSE mount.
///
/// A thread enters a private copy of the mount namespace, detaches the covering mounts there, and finds the mount. No
/// other process sees the copy. The descriptor keeps the copied mount alive when the thread and the copied namespace
/// are gone.
enum CoveredMount {
    /// The thread looks up local directories, and detaches mounts made by others. Neither step waits for a server.
    private static let patience = Duration.seconds(3)

    /// Finds the mount without opening it (O_PATH).
    ///
    /// - Parameters:
    ///   - mayWait: whether the look-up of a directory on the way may read the disk.
    ///   - namespace: the open `/proc/PID/ns/mnt` of the process with the mount; nil for our own.
    /// - Throws: ENOENT if the mount was unmounted, EINVAL if a covering mount must not be detached, ETIMEDOUT.
    static func find(
        _ mount: MountEntry, mustBeDirectory: Bool, mayWait: Bool, in namespace: OwnedDescriptor?
    ) throws(Errno) -> FileDescriptor {
        let work: @Sendable () -> Result<Finding, Errno> = {
            do throws(Errno) {
                let copy = try NamespaceCopy(of: namespace?.descriptor)
                withExtendedLifetime(namespace) {}
                return .success(
                    Finding(try copy.find(mount, mustBeDirectory: mustBeDirectory, mayWait: mayWait)))
            } catch {
                return .failure(error)
            }
        }
        let result = AbandonableWork.run([work], until: .now + patience)[0] ?? .failure(.timedOut)
        return try result.get().takeDescriptor()
    }
}

/// The calling thread's copy of a mount namespace.
private final class NamespaceCopy {
    private let root: FileDescriptor
    private let mounts: [MountEntry]

    /// Changes the calling thread for good.
    init(of namespace: FileDescriptor?) throws(Errno) {
        let (root, table) = try PrivateMounts.enterCopy(of: namespace, proc: "/proc")
        self.root = root
        do throws(LinuxSystemError) {
            // No other process changes the copy.
            mounts = try MountTableWatch(table, path: "/proc/thread-self/mountinfo").read()
        } catch {
            try? root.close()
            throw error.underlyingError ?? .ioError
        }
    }

    deinit { try? root.close() }

    func find(_ original: MountEntry, mustBeDirectory: Bool, mayWait: Bool) throws(Errno) -> FileDescriptor {
        // Mount ids are new in the copy. Another mount of the same superblock in the same place would do, too.
        let copies = mounts.filter {
            $0.device == original.device && $0.root == original.root && $0.mountPoint == original.mountPoint
        }
        for copy in copies {
            guard let covers = mounts.covers(of: copy) else { continue }
            for cover in covers { try detach(cover, mayWait: mayWait) }
            let found = try MountPointOpening.findPatiently(
                copy.mountPoint, below: root, mustBeDirectory: mustBeDirectory, mayWait: mayWait)
            do throws(Errno) {
                if try MountPointOpening.mountID(of: found) == copy.mountID { return found }
            } catch {
                try? found.close()
                throw error
            }
            try? found.close()
            throw .noSuchFileOrDirectory
        }
        throw .noSuchFileOrDirectory
    }

    private func detach(_ cover: MountEntry, mayWait: Bool) throws(Errno) {
        // The root of a namespace is not detached.
        guard let entry = cover.mountPoint.lastComponent else { throw .invalidArgument }
        // Through no symbolic link, and not by the whole path: a user may have renamed a directory of the path.
        let directory = try MountPointOpening.findPatiently(
            cover.mountPoint.removingLastComponent(), below: root, mustBeDirectory: true, mayWait: mayWait)
        defer { try? directory.close() }
        try PrivateMounts.detach(entry.string, in: directory)
    }
}

/// Owns a descriptor. Closes the descriptor unless ``takeDescriptor()`` was called.
private final class Finding: Sendable {
    private let descriptor: Mutex<FileDescriptor?>

    init(_ descriptor: FileDescriptor) {
        self.descriptor = Mutex(descriptor)
    }

    deinit {
        descriptor.withLock { try? $0?.close() }
    }

    /// Takes the descriptor, once.
    func takeDescriptor() throws(Errno) -> FileDescriptor {
        let taken = descriptor.withLock { descriptor in
            defer { descriptor = nil }
            return descriptor
        }
        guard let taken else { throw .badFileDescriptor }
        return taken
    }
}
