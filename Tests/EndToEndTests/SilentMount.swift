import SystemPackage

/// A mount that hangs every access.
enum SilentMount {
    enum Kind: String, CaseIterable, Sendable {
        case fuse, fuseblk, autofs
    }

    /// Mounts a filesystem whose server never answers. At the end of its standard input, the server exits and the
    /// hanging accesses end.
    ///
    /// - Parameter program: runs the script in the last argument; in a container, for example.
    static func make(
        _ kind: Kind, on mountPoint: String, count: Int = 1, by program: [String] = []
    ) throws -> RunningProgram {
        let fuse = "[ -e /dev/fuse ] || mknod /dev/fuse c 10 229; exec 3<>/dev/fuse"
        let options = "fd=3,rootmode=40000,user_id=0,group_id=0"
        let mount =
            switch kind {
            case .fuse:
                """
                for i in $(seq \(count)); do
                    \(fuse)
                    mount --no-canonicalize -i -t fuse -o \(options) silent \(mountPoint)
                    eval "exec $((i + 10))>&3"
                done
                """
            case .fuseblk:
                """
                \(fuse); truncate --size 1M /tmp/silent.img; device=$(losetup --find --show /tmp/silent.img)
                mount -i -t fuseblk -o \(options),blksize=512 $device \(mountPoint); losetup --detach $device
                """
            case .autofs:
                """
                mkfifo /tmp/silent.pipe; exec 3<>/tmp/silent.pipe; rm /tmp/silent.pipe
                mount -i -t autofs -o fd=3,pgrp=$$,minproto=5,maxproto=5,direct silent \(mountPoint)
                """
            }
        let script = "[ -d \(mountPoint) ] || mkdir -p \(mountPoint)\n\(mount)\necho mounted; exec cat"
        let command = program + ["bash", "-ec", script]
        let server = try RunningProgram(FilePath(command[0]), Array(command.dropFirst()))
        try server.waitForLine(in: .output) { $0 == "mounted" }
        return server
    }
}
