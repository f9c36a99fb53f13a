import SystemPackage

/// Where the kernel and udev tell of devices. A parameter, so that tests can build machines out of directories.
public struct SystemPaths: Sendable, Hashable {
    public var sysfs: FilePath
    public var proc: FilePath
    public var udevDatabase: FilePath
    /// Where device nodes are; nil: no node is opened or looked up.
    public var deviceNodes: FilePath?

    public init(sysfs: FilePath, proc: FilePath, udevDatabase: FilePath, deviceNodes: FilePath?) {
        self.sysfs = sysfs
        self.proc = proc
        self.udevDatabase = udevDatabase
        self.deviceNodes = deviceNodes
    }

    /// This machine.
    public static let live = SystemPaths(
        sysfs: "/sys", proc: "/proc", udevDatabase: "/run/udev/data", deviceNodes: "/dev")
}
