/// An integration service of Hyper-V: a service between the host and a virtual machine, which an admin of the host
/// switches on and off for each machine.
///
/// The names are those of a host in English. ``HostServices`` has the state of each service on this machine.
public enum IntegrationService: String, CaseIterable, Sendable {
    case heartbeat
    case shutdown
    case timeSynchronization = "time_synchronization"
    case keyValuePairExchange = "key_value_pair_exchange"
    /// Production checkpoints, also of backup products.
    case vss
    case guestServiceInterface = "guest_service_interface"
    case powerShellDirect = "powershell_direct"
    case hyperVSockets = "hyperv_sockets"

    /// The name in the output of `Get-VMIntegrationService`; for the two services that the command does not list, the
    /// name in Microsoft's documentation.
    public var name: String {
        switch self {
        case .heartbeat: "Heartbeat"
        case .shutdown: "Shutdown"
        case .timeSynchronization: "Time Synchronization"
        case .keyValuePairExchange: "Key-Value Pair Exchange"
        case .vss: "VSS"
        case .guestServiceInterface: "Guest Service Interface"
        case .powerShellDirect: "PowerShell Direct"
        case .hyperVSockets: "Hyper-V sockets"
        }
    }

    /// The name in the settings of Hyper-V Manager; nil for a service without a setting.
    public var managerName: String? {
        switch self {
        case .heartbeat: "Heartbeat"
        case .shutdown: "Operating system shutdown"
        case .timeSynchronization: "Time synchronization"
        case .keyValuePairExchange: "Data Exchange"
        // Windows Server 2012 R2 has "Backup (volume checkpoint)".
        case .vss: "Backup (volume shadow copy)"
        case .guestServiceInterface: "Guest services"
        case .powerShellDirect, .hyperVSockets: nil
        }
    }

    /// The class of the service's device on the bus (include/linux/hyperv.h of the kernel); nil if the host adds
    /// no device for the service.
    public var classID: String? {
        switch self {
        case .heartbeat: "57164f39-9115-4e78-ab55-382f3bd5422d"
        case .shutdown: "0e0b6031-5213-4934-818b-38d90ced39db"
        case .timeSynchronization: "9527e630-d0ae-497b-adce-e80ab0175caf"
        case .keyValuePairExchange: "a9a0f4e7-5a45-4d96-b827-8a841e8c03e6"
        case .vss: "35fa2e29-ea23-4236-96ae-3a6ebacba440"
        case .guestServiceInterface: "34d14be3-dee4-41c8-9ae7-6b174977c192"
        case .powerShellDirect, .hyperVSockets: nil
        }
    }

    /// The kernel module with the driver; nil without a driver in Linux. From Linux 6.10 on, file copy is served
    /// through uio_hv_generic instead of hv_utils (x86 only).
    var module: KernelModule? {
        switch self {
        case .heartbeat, .shutdown, .timeSynchronization, .keyValuePairExchange, .vss, .guestServiceInterface:
            .hvUtils
        case .hyperVSockets: .hvSock
        case .powerShellDirect: nil
        }
    }

    /// The device of hv_utils for a program that serves the service, below `/dev/vmbus`; nil if the kernel serves
    /// the service.
    var deviceName: String? {
        switch self {
        case .keyValuePairExchange: "hv_kvp"
        case .vss: "hv_vss"
        case .guestServiceInterface: "hv_fcopy"
        case .heartbeat, .shutdown, .timeSynchronization, .powerShellDirect, .hyperVSockets: nil
        }
    }

    /// The stock program that serves the service; nil if the kernel serves the service, or Linux has none.
    public var daemon: StockDaemon? {
        switch self {
        case .keyValuePairExchange: .kvp
        case .vss: .vss
        case .guestServiceInterface: .fcopy
        case .heartbeat, .shutdown, .timeSynchronization, .powerShellDirect, .hyperVSockets: nil
        }
    }
}
