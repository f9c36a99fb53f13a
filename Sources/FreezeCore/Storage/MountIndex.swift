import SystemPackage

/// Tells which mount of a table a file lies on, judged by the text of its path: nothing is looked up.
///
/// Asked for every loop device, so it must not go through all of a long table each time.
public struct MountIndex: Sendable {
    private let byMountPoint: [FilePath: [MountEntry]]

    public init(_ mounts: [MountEntry]) {
        byMountPoint = Dictionary(grouping: mounts, by: \.mountPoint)
    }

    /// The mount with the longest mount point that leads to the file; the topmost, where several lie on one another.
    ///
    /// - Parameters:
    ///   - path: Absolute.
    ///   - isPossible: False for mounts to pass over.
    public func mount(
        holding path: FilePath, where isPossible: (MountEntry) -> Bool = { _ in true }
    ) -> MountEntry? {
        var way = path
        repeat {
            if let mount = byMountPoint[way]?.last(where: isPossible) { return mount }
        } while way.removeLastComponent()
        return nil
    }
}
