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
            return missing(hyperV.device, isRequired: isRequired, host: subject.host)
        }
        return findings(
            hyperV.device, holders: DeviceHolder.holders(of: hyperV.device, in: ProcessTable(subject.proc)))
    }

    static func missing(_ device: FilePath, isRequired: Bool, host: HostPlatform) -> [Finding] {
        let statement = "There is no \(device.escaped), so no Hyper-V host can ask for a backup."
        switch host {
        case .hyperV:
            return [
                Finding(
                    name, isRequired ? .error : .warning, statement,
                    nextStep: """
                        On the host, switch on the integration service "Backup" of this machine. On this machine, run \
                        `modprobe hv_utils`.
                        """)
            ]
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
                    name, .error, statement,
                    nextStep: """
                        On Hyper-V, switch on the integration service "Backup" of this machine and run \
                        `modprobe hv_utils`; elsewhere remove enabled = true from section [hyperv].
                        """)
            ]
        }
    }

    static func findings(_ device: FilePath, holders: [DeviceHolder]) -> [Finding] {
        let strangers = holders.filter { $0.name != "quiesced" }
        guard let stranger = strangers.first else {
            let holder = holders.first.map { "is open in \($0)" } ?? "is there, and nobody has it open"
            return [Finding(name, .ok, "\(device.escaped) \(holder).")]
        }
        return [
            Finding(
                name, .error, "\(device.escaped) is held by \(stranger), and only one process can have it open.",
                nextStep: stockService(stranger).map {
                    "Run `systemctl mask --now \($0)`: udev starts a disabled one again."
                }
                    ?? "Stop that program, and keep it from starting again.")
        ]
    }

    /// The unit of the stock daemon. A process started by hand can belong to the service of sshd, which is not to be masked.
    private static func stockService(_ holder: DeviceHolder) -> String? {
        ["hv_vss_daemon", "hypervvssd"].contains(holder.name) ? holder.service : nil
    }
}
