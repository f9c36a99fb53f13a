/// A port of vsock as programs on a Hyper-V host name the port: by the GUID of a service, which an admin has to
/// register on the host.
public struct HyperVSocketPort: Sendable, Hashable {
    /// The port for programs on the host that use quiesce.
    public static let quiesce = HyperVSocketPort(9119)

    public let number: UInt32

    public init(_ number: UInt32) {
        self.number = number
    }

    /// The port in the template of Linux (net/vmw_vsock/hyperv_transport.c: `srv_id_template`).
    public var serviceID: String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits + "-facb-11e6-bd58-64006a7986d3"
    }

    /// Commands of PowerShell, for an administrator of the host.
    public var registration: [String] {
        let services =
            #"HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Virtualization\GuestCommunicationServices"#
        return [
            "$key = New-Item -Path '\(services)' -Name '\(serviceID)'",
            "$key.SetValue('ElementName', 'quiesce')",
        ]
    }
}
