import SystemPackage

/// What sort of filesystem a mount shows, as far as its line of the mount table tells.
public enum FilesystemKind: Hashable, Sendable {
    /// Local, and its driver has `freeze_fs` or `freeze_super` (fs/ioctl.c: ioctl_fsfreeze).
    case freezable
    /// Local, and its driver has neither: FIFREEZE gives EOPNOTSUPP.
    case unfreezable
    /// Local, of a type this table does not know.
    case unknown
    /// Memory only.
    case memory
    /// A view into the kernel: no files of anybody's.
    case kernel
    /// Served by another machine, or by the host of this one.
    case network
    /// Served by a process.
    case userspace
    /// Served by a process from a block device of this machine, like ntfs-3g. Only root can mount a fuseblk
    /// filesystem: unlike other FUSE filesystems, fuseblk cannot be mounted in a user namespace (fs/fuse/inode.c:
    /// fuseblk_fs_type).
    case userspaceOnDisk
    /// A trigger that mounts something when it is touched.
    case automount
    /// A layer above other filesystems. Has no data of its own: the pages of a file belong to the file below
    /// (overlay). The filesystems below are frozen themselves.
    case stacked
    /// A layer with pages of its own. Data written through mmap is not below until a flush, and a write reaches
    /// the file below in parts (fs/ecryptfs/mmap.c: ecryptfs_writepage, ecryptfs_write_end).
    case cachingLayer

    /// True if opening something in it, or on the way through it, waits for somebody who may never answer.
    public var mayHang: Bool {
        switch self {
        case .network, .userspace, .userspaceOnDisk, .automount: true
        default: false
        }
    }

    /// True if the files are on a device of this machine, directly or through a process or a layer.
    public var isLocal: Bool {
        switch self {
        case .freezable, .unfreezable, .unknown, .userspaceOnDisk, .cachingLayer: true
        default: false
        }
    }
}

extension MountEntry {
    public var kind: FilesystemKind {
        if let kind = kindsByType[filesystemType] { return kind }
        if filesystemType.hasPrefix("fuse.") { return .userspace }
        if filesystemType.hasPrefix("fuseblk.") { return .userspaceOnDisk }
        // Major 0 means no block device of its own; a filesystem over several devices has it too, but
        // names one of them.
        return device.major != 0 || source.hasPrefix("/dev/") ? .unknown : .kernel
    }

    /// True if filesystems of this type, as mount(8) names it, can be frozen.
    public static func isFreezable(_ type: String) -> Bool { kindsByType[type] == .freezable }

    /// True if nothing can write to the superblock, through whichever mount.
    public var isSuperblockReadOnly: Bool { superblockOptions.isReadOnly }

    private static let wholeFilesystem: FilePath = "/"

    /// True if the mount shows the whole filesystem, and therefore a directory. For btrfs, the top level.
    public var showsWholeFilesystem: Bool {
        // 5 is the top level's number (BTRFS_FS_TREE_OBJECTID). Before Linux 4.2, the root of the default subvolume was
        // shown as / too.
        root == Self.wholeFilesystem && (superblockOptions.subvolumeID ?? 5) == 5
    }
}

private let kindsByType: [String: FilesystemKind] = {
    let types: [(FilesystemKind, String)] = [
        // Drivers that set .freeze_fs or .freeze_super (see also fsfreeze(8)). One that is missing here is flushed only.
        (.freezable, "ext2 ext3 ext4 xfs btrfs f2fs jfs reiserfs nilfs2 gfs2 bcachefs"),
        // ocfs2 has no freeze (fs/ocfs2/super.c: ocfs2_sops); nor has zfs.
        (
            .unfreezable,
            "vfat msdos umsdos exfat ntfs ntfs3 hfs hfsplus apfs udf minix ocfs2 zfs ubifs jffs2 zonefs adfs affs "
                + "bfs efs hpfs omfs qnx4 qnx6 sysv ufs reiser4 squashfs erofs iso9660 cramfs romfs"
        ),
        (.memory, "tmpfs ramfs rootfs"),
        (
            .kernel,
            "proc sysfs devtmpfs devpts securityfs selinuxfs smackfs apparmorfs cgroup cgroup2 cpuset pstore bpf "
                + "debugfs tracefs configfs efivarfs fusectl hugetlbfs mqueue rpc_pipefs nfsd binfmt_misc nsfs "
                + "sockfs pipefs bdev resctrl binder functionfs ipathfs pidfs secretmem spufs openpromfs usbfs"
        ),
        (
            .network,
            "nfs nfs4 cifs smb3 smbfs ceph 9p virtiofs afs coda ncpfs ncp lustre orangefs pvfs2 beegfs gpfs "
                + "glusterfs panfs vboxsf vmhgfs prl_fs davfs shfs"
        ),
        (.userspace, "fuse"),
        (.userspaceOnDisk, "fuseblk"),
        (.automount, "autofs"),
        (.stacked, "overlay overlayfs aufs unionfs shiftfs"),
        (.cachingLayer, "ecryptfs"),
    ]
    var table: [String: FilesystemKind] = [:]
    for (kind, names) in types {
        for name in names.split(separator: " ") { table[String(name)] = kind }
    }
    return table
}()
