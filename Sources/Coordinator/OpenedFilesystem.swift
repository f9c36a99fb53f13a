import FreezeCore
import LinuxSystem

/// A filesystem that is to be frozen, opened, with what tells later whether it is still the same, and as it was.
struct OpenedFilesystem: Sendable {
    let target: TargetOpener.Target
    /// Which life of its superblock this is; nil if its type shows none.
    let life: UInt64?
    /// Nil where writes prove nothing.
    let written: WrittenSectors?

    /// In the order of the targets. Opens what it needs to count writes.
    static func all(of targets: [TargetOpener.Target]) -> [OpenedFilesystem] {
        zip(targets, WrittenSectors.watch(targets.map(\.filesystem))).map { target, written in
            OpenedFilesystem(
                target: target, life: SuperblockLife.number(of: target.filesystem.mount), written: written)
        }
    }
}
