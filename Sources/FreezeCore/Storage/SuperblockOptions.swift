import SystemPackage

/// The options of a superblock: the last field of a line in the mount table (proc_pid_mountinfo(5)).
///
/// The field is split before names are decoded: users choose the names of subvolumes and directories, and a name
/// may hold commas.
public struct SuperblockOptions: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The kernel's text, escapes included.
    private let bytes: [UInt8]
    /// True if nothing can write to the superblock through any mount.
    public let isReadOnly: Bool

    /// - Parameter bytes: Not decoded: `rw,relatime,subvol=/a\054ro`.
    public init(_ bytes: some Sequence<UInt8>) {
        self.bytes = Array(bytes)
        // The first option is `ro` or `rw`, written by the VFS (fs/proc_namespace.c: show_mountinfo).
        isReadOnly = self.bytes.prefix { $0 != comma }.elementsEqual("ro".utf8)
    }

    public init(stringLiteral text: String) { self.init(text.utf8) }

    public var description: String { String(decoding: bytes, as: UTF8.self) }

    /// The file, directory or device named by an option such as `upperdir=`; nil without the option.
    public func path(_ name: String) -> FilePath? { value(of: name).map { FilePath(bytes: $0) } }

    /// The number of the btrfs subvolume shown by the mount.
    public var subvolumeID: UInt64? {
        value(of: "subvolid").flatMap { UInt64(String(decoding: $0, as: UTF8.self)) }
    }

    /// The user who mounted a FUSE filesystem, as numbered in the user namespace of the mount (fs/fuse/inode.c:
    /// fuse_show_options).
    public var userID: UInt32? {
        value(of: "user_id").flatMap { UInt32(String(decoding: $0, as: UTF8.self)) }
    }

    private func value(of name: String) -> [UInt8]? {
        let wanted = Array("\(name)=".utf8)
        var rest = bytes[...]
        while !rest.isEmpty {
            // btrfs writes the subvolume's name last, and some kernels do not escape commas in the name.
            let isLast = rest.starts(with: Self.subvolume)
            let end = isLast ? rest.endIndex : rest.firstIndex(of: comma) ?? rest.endIndex
            let option = rest[..<end]
            if option.starts(with: wanted) { return octalUnescaped(option.dropFirst(wanted.count)) }
            rest = rest[end...].dropFirst()
        }
        return nil
    }

    private static let subvolume = Array("subvol=".utf8)
}

private let comma = UInt8(ascii: ",")
