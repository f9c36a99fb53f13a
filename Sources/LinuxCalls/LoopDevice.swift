import CLinux
import SystemPackage

/// Loop devices (drivers/block/loop.c, man loop(4)).
public enum LoopDevice {
    /// The device number of the filesystem its backing file is on, as stat(2) of that file gives it; on btrfs this
    /// is a number of the subvolume's own. Can wait for a network filesystem that holds the file.
    ///
    /// - Throws: ENXIO if nothing is attached, ENOTTY if it is no loop device.
    public static func backingDevice(_ descriptor: FileDescriptor) throws(Errno) -> (major: UInt32, minor: UInt32)
    {
        var major: UInt32 = 0
        var minor: UInt32 = 0
        try Errno.check(clinux_loop_backing_device(descriptor.rawValue, &major, &minor))
        return (major, minor)
    }
}
