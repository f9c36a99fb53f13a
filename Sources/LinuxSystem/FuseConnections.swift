import FreezeCore
import LinuxCalls
import SystemPackage

/// The kernel's connections to FUSE servers (Documentation/filesystems/fuse/fuse.rst, "control filesystem").
struct FuseConnections: Sendable {
    /// The connections with an unanswered request, by the minor number of the filesystem; nil if the control
    /// filesystem is not mounted, or shows no connection.
    let waiting: Set<UInt32>?

    init(sysfs: FilePath) {
        let directory = sysfs.appending("fs/fuse/connections")
        guard let names = try? directoryEntries(directory) else {
            // Without the module there is no FUSE filesystem.
            waiting = []
            return
        }
        let numbers = names.compactMap { UInt32($0.string) }
        waiting =
            numbers.isEmpty
            ? nil
            : Set(
                numbers.filter { number in
                    SmallFile.text(directory.appending("\(number)/waiting")).flatMap(Int.init) ?? 0 > 0
                })
    }

    /// The connection that a task waits for; nil if not certain. An admin may be advised to abort the connection.
    ///
    /// - Parameters:
    ///   - user: The user of the task. Only the user's connections count: connections mounted by the user, and
    ///     connections present only in the task's mount namespace, where user numbers differ.
    ///   - mounts: The FUSE mounts of the task's namespace.
    ///   - ours: The mounts of our own namespace.
    func awaited(by user: UInt32, in mounts: [MountEntry], besides ours: [MountEntry]) -> UInt32? {
        let known = Set(ours.map(\.device))
        let own = mounts.filter { mount in
            mount.kind == .userspace
                && (mount.superblockOptions.userID == user || !known.contains(mount.device))
        }
        let numbers = Set(own.map(\.device.minor))
        let awaited = waiting.map { numbers.intersection($0) } ?? numbers
        return awaited.count == 1 ? awaited.first : nil
    }
}
