import FreezeCore
import Glibc
import SystemPackage

extension MountTables {
    /// Longer than a mount, or an unmount with little to write, has a live superblock without a table entry.
    private static let pause = Duration.seconds(1)

    /// Reads the tables, and finds live superblocks missing from all tables, twice, a second apart: a mount or an
    /// unmount in progress does not count. Looks for new namespaces in between, so must not be called while
    /// filesystems are frozen.
    ///
    /// - Parameter known: lives of superblocks to leave out.
    /// - Returns: the mounts of the last look. No superblock is unreachable if only our own table is read: other
    ///   namespaces may have the superblock mounted.
    /// - Throws: `LinuxSystemError` if a table cannot be read or parsed.
    public func readWithUnreachable(
        except known: Set<UInt64> = [], paths: SystemPaths = .live
    ) throws(LinuxSystemError) -> (mounts: [MountEntry], unreachable: [UnreachableFilesystem]) {
        let live = LiveSuperblocks(paths: paths)
        let mounts = try read()
        guard scope == .all else { return (mounts, []) }
        let first = live.missing(from: mounts).filter { !known.contains($0.life) }
        guard !first.isEmpty else { return (mounts, []) }
        usleep(UInt32(Self.pause.milliseconds * 1000))
        try findNamespaces()
        let later = try read()
        return (later, live.missing(from: later).filter(first.contains))
    }
}
