/// Storage with a server that /sys does not show. The server may be a process of this machine, with the data in files on
/// another filesystem of the machine.
public enum HiddenStorage: String, Sendable, Hashable, CaseIterable {
    case nbd = "NBD"
    case iSCSI
    case ublk
    case rbd
    case drbd = "DRBD"
    case nvmeOverFabrics = "NVMe over fabrics"
    case nvmeLoop = "nvme-loop"
    case tcmLoop = "LIO loopback"
    case vduse = "VDUSE"

    /// True if the kernel writes to the server's file although the file's filesystem is frozen.
    public var writesThroughFreeze: Bool { self == .nvmeLoop }
}
