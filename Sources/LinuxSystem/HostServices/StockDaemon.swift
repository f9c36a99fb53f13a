/// A distribution's program that serves an integration service, built from the kernel's sources (tools/hv).
public struct StockDaemon: Sendable, Hashable {
    /// The names of the program.
    let programs: [String]
    /// The names of the service's unit: those of Debian and Ubuntu, of SUSE and others, of Fedora and RHEL.
    public let units: [String]

    public static let vss = StockDaemon(
        programs: ["hv_vss_daemon", "hypervvssd"],
        units: ["hv-vss-daemon.service", "hv_vss_daemon.service", "hypervvssd.service"])
    public static let kvp = StockDaemon(
        programs: ["hv_kvp_daemon", "hypervkvpd"],
        units: ["hv-kvp-daemon.service", "hv_kvp_daemon.service", "hypervkvpd.service"])
    public static let fcopy = StockDaemon(
        programs: ["hv_fcopy_daemon", "hv_fcopy_uio_daemon", "hypervfcopyd"],
        units: ["hv-fcopy-daemon.service", "hv_fcopy_daemon.service", "hypervfcopyd.service"])

    /// Whether the process runs the program, by its name.
    public func runs(in holder: DeviceHolder) -> Bool {
        // The kernel keeps 15 bytes of a name (TASK_COMM_LEN).
        programs.contains { holder.name.utf8.elementsEqual($0.utf8.prefix(15)) }
    }

    /// The command that frees the device and keeps the device free, for an unknown holder. Disabling the unit is not
    /// enough: udev starts a disabled unit with the device.
    public var maskCommand: String { Self.maskCommand(units) }

    /// The command for known holders of the device.
    ///
    /// - Returns: Nil if no holder is in a unit of the daemon. A program started by hand can belong to the service of
    ///   sshd, which must not be masked.
    public func maskCommand(for holders: [DeviceHolder]) -> String? {
        let known = Set(holders.filter(runs).compactMap(\.service)).intersection(units).sorted()
        return known.isEmpty ? nil : Self.maskCommand(known)
    }

    private static func maskCommand(_ units: [String]) -> String {
        "systemctl mask --now \(units.joined(separator: " "))"
    }
}
