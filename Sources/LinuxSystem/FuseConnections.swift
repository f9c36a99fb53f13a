import FreezeCore
import LinuxCalls
import SystemPackage

/// The kernel's connections to FUSE servers (Documentation/filesystems/fuse/fuse.rst, "control filesystem").
struct FuseConnections: Sendable {
    /// Those whose server has not answered a request yet, by the minor number of their filesystem; nil if the control
    /// filesystem is not mounted.
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

    /// The one that a task most likely waits for.
    ///
    /// - Parameter mounts: The mount table of the task.
    func awaited(in mounts: [MountEntry]) -> UInt32? {
        let own = mounts.filter { $0.kind == .userspace }.map(\.device.minor)
        guard let waiting else { return own.count == 1 ? own.first : nil }
        return own.first(where: waiting.contains) ?? (waiting.count == 1 ? waiting.first : nil)
    }
}
