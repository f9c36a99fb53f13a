import Configuration
import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage

/// On a Hyper-V guest, the device is there, and no other process has the device open.
enum DeviceCheck {
    static let name = "device"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        let hyperV = subject.configuration.hyperv
        guard hyperV.enabled != .off else {
            return subject.host.isKVM ? [] : [Finding(name, .ok, "The Hyper-V channel is switched off.")]
        }
        let isRequired = hyperV.enabled == .on
        guard access(hyperV.device.string, F_OK) == 0 else {
            return missing(hyperV.device, isRequired: isRequired, host: subject.host) {
                IntegrationService.vss.state(in: subject.serviceProbe)
            }
        }
        return findings(
            hyperV.device, holders: DeviceHolder.holders(of: hyperV.device, in: ProcessTable(subject.proc)))
    }

    /// - Parameter service: The state of the host's service for backups.
    static func missing(
        _ device: FilePath, isRequired: Bool, host: HostPlatform, service: () -> HostService
    ) -> [Finding] {
        switch host {
        case .hyperV: return [missing(device, isRequired ? .error : .warning, service())]
        case .kvm, .kubeVirt:
            guard isRequired else { return [] }
            return [
                Finding(
                    name, .warning, "hyperv.enabled is true, and the host of this machine is not Hyper-V.",
                    nextStep: "Remove enabled = true from section [hyperv] of the configuration.")
            ]
        case .other:
            guard isRequired else {
                return [
                    Finding(
                        name, .ok,
                        "This machine is no guest of Hyper-V or KVM: backups are requested on the control socket.")
                ]
            }
            return [
                Finding(
                    name, .error, "There is no \(device.escaped), and the host of this machine is not Hyper-V.",
                    nextStep: "Remove enabled = true from section [hyperv] of the configuration.")
            ]
        }
    }

    private static func missing(_ device: FilePath, _ verdict: Finding.Verdict, _ service: HostService) -> Finding
    {
        if let own = service.device, own != device {
            return Finding(
                name, verdict, "The device of the host is \(own.escaped), and there is no \(device.escaped).",
                nextStep: "Remove device from section [hyperv] of the configuration, and restart quiesced.")
        }
        let cause =
            switch service.state {
            case .off: "The host has switched off the integration service \(service.name)"
            case .broken, .unsupported: service.statement.map { String($0.dropLast()) } ?? ""
            case .working, .idle: "There was no \(device.escaped)"
            }
        return Finding(
            name, verdict, "\(cause), so the host cannot request a backup.",
            nextStep: service.nextStep ?? "Run `quiescectl check` again.")
    }

    static func findings(_ device: FilePath, holders: [DeviceHolder]) -> [Finding] {
        guard let first = holders.first else {
            return [Finding(name, .ok, "\(device.escaped) is there, and no process has the device open.")]
        }
        guard let stranger = holders.first(where: { $0.name != "quiesced" }) else {
            return [Finding(name, .ok, "\(device.escaped) is open in \(first).")]
        }
        return [
            Finding(
                name, .error,
                "\(device.escaped) is held by \(stranger), and only one process can have the device open.",
                nextStep: StockDaemon.vss.maskCommand(for: [stranger]).map {
                    "Run `\($0)`: udev starts a disabled unit again."
                } ?? "Stop process \(stranger.processID), and prevent its restart.")
        ]
    }
}
