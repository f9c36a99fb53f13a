import FreezeCore
import LinuxSystem
import SystemPackage

/// Failures to open the device in a row, so that each kind is said once and not at every retry.
struct HyperVOpeningFailures {
    enum Kind: Hashable {
        case opening(Errno)
        case registering(ChannelError)
    }

    private var last: Kind?
    private var count = 0

    /// Counts the failure; true if the one before was another.
    mutating func isNews(_ kind: Kind) -> Bool {
        count += 1
        defer { last = kind }
        return last != kind
    }

    /// What to say when it has worked.
    func success(device: FilePath, version: HyperVVersion) -> String {
        let statement = "\(device): registered with the Hyper-V host (version \(version.rawValue))"
        return count == 0 ? statement : "\(statement) after \(count) failed attempt\(count == 1 ? "" : "s")"
    }

    /// The failure in an admin's words.
    static func explain(
        _ error: Errno, device: FilePath, holders: [DeviceHolder], host: HostPlatform = .ofThisMachine
    ) -> ChannelError {
        let (problem, remedy): (String, String?) =
            switch error {
            case .resourceBusy: explainBusy(holders)
            case .noSuchFileOrDirectory: ("there is no such device", remedyForMissing(on: host))
            case .operationNotSupportedByDevice:
                ("this is no character device", "Correct hyperv.device in the configuration")
            case .permissionDenied, .notPermitted: ("it may not be opened", "Run the daemon as root")
            case .badFileDescriptor: ("the driver is going away", "It is used again when it comes back")
            default: ("it cannot be opened: \(error)", "It is tried again")
            }
        return ChannelError(
            .deviceUnusable, subject: device.string, problem: problem, remedy: remedy, underlyingError: error)
    }

    private static func remedyForMissing(on host: HostPlatform) -> String? {
        // A host of QEMU has another channel.
        guard !host.isKVM else { return nil }
        return "On a Hyper-V guest load the driver (modprobe hv_utils) and switch on the VM's integration"
            + " service \"Backup (volume checkpoint)\""
    }

    private static func explainBusy(_ holders: [DeviceHolder]) -> (problem: String, remedy: String) {
        let units = ["hv-vss-daemon.service", "hv_vss_daemon.service", "hypervvssd.service"]
        guard !holders.isEmpty else {
            let remedy = "It is usually the stock daemon: systemctl mask --now \(units.joined(separator: " "))"
            return ("another process has it open, and only one can", remedy)
        }
        let names = holders.map(\.description).joined(separator: ", ")
        // Only what is known to be the stock daemon is to be masked: a holder started by hand may belong to sshd's.
        let stock = holders.filter { ["hv_vss_daemon", "hypervvssd"].contains($0.name) }
        let known = Set(stock.compactMap(\.service)).sorted()
        let remedy =
            stock.isEmpty
            ? "Stop it"
            : "Give it up: systemctl mask --now \((known.isEmpty ? units : known).joined(separator: " "))"
        return ("\(names) has it open, and only one process can", remedy)
    }
}
