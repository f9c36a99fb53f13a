/// A port of vsock, with the GUID by which programs on a Hyper-V host connect. An admin registers the GUID on the host.
public struct HyperVSocketPort: Sendable, Hashable {
    /// The default of `vsock.port`.
    public static let quiesce = HyperVSocketPort(9119)

    public let number: UInt32

    public init(_ number: UInt32) {
        self.number = number
    }

    /// The port inserted into the template of Linux (net/vmw_vsock/hyperv_transport.c: `srv_id_template`).
    public var serviceID: String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits + "-facb-11e6-bd58-64006a7986d3"
    }

    /// The commands of PowerShell that register the GUID on the host.
    public var registration: [String] {
        let services =
            #"HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Virtualization\GuestCommunicationServices"#
        return [
            "$key = New-Item -Path '\(services)' -Name '\(serviceID)'",
            "$key.SetValue('ElementName', 'quiesce')",
        ]
    }
}
