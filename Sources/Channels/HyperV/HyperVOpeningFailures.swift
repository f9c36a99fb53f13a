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
        host.isKVM ? nil : "On a Hyper-V guest, run quiescectl services, which names the cause"
    }

    private static func explainBusy(_ holders: [DeviceHolder]) -> (problem: String, remedy: String) {
        let stock = StockDaemon.vss
        guard let first = holders.first else {
            return (
                "another process has the device open",
                "Usually the process is the stock daemon: \(stock.maskCommand)"
            )
        }
        return (
            "\(holders.map(\.description).joined(separator: ", ")) has the device open, and only one process can",
            stock.maskCommand(for: holders).map { "Run \($0)" }
                ?? "Stop process \(first.processID), and prevent its restart"
        )
    }
}
