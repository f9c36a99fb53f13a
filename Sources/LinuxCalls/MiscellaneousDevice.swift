import CLinux
import Glibc
import SystemPackage

/// The character device of a driver that has no major number of its own (include/linux/miscdevice.h).
public enum MiscellaneousDevice {
    /// How long ago the driver made the device, or udev last changed who may open it.
    ///
    /// Source: the node's time of change (`st_ctim`, inode(7)).
    ///
    /// - Returns: Nil if there is no such device at the path, and if the clock has been set back since.
    public static func age(of path: FilePath) -> Duration? {
        var status = stat()
        guard stat(path.string, &status) == 0, status.st_mode & S_IFMT == S_IFCHR,
            clinux_is_misc_device(UInt64(status.st_rdev))
        else { return nil }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let age =
            Duration.seconds(now.tv_sec - status.st_ctim.tv_sec)
            + .nanoseconds(now.tv_nsec - status.st_ctim.tv_nsec)
        return age < .zero ? nil : age
    }
}
