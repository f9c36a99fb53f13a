import FreezeCore
import Glibc
import SystemPackage

extension MountTables {
    /// Longer than a mount, or an unmount with little to write, is in no table although its superblock lives.
    private static let pause = Duration.seconds(1)

    /// Reads the tables, and finds what lives and is in none of them: then and a second later, so that nothing is found
    /// that is just being mounted or unmounted. Looks for new namespaces in between, so not while something is frozen.
    ///
    /// - Parameter known: lives of superblocks that need not be found.
    /// - Returns: the mounts as they were at the last look. Nothing is unreachable if only our own table is looked at:
    ///   then others have what is not in it.
    /// - Throws: `LinuxSystemError` if a table cannot be read or understood.
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
