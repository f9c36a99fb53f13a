import Configuration
import FreezeCore
import Glibc
import LinuxSystem
import SystemPackage

/// The Hyper-V device is there, and nobody else has it.
enum DeviceCheck {
    static let name = "device"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        let hyperV = subject.configuration.hyperv
        guard hyperV.enabled != .off else {
            return [Finding(name, .ok, "The Hyper-V channel is switched off.")]
        }
        let isThere = access(hyperV.device.string, F_OK) == 0
        return findings(
            hyperV.device, isThere: isThere, isRequired: hyperV.enabled == .on,
            holders: isThere ? DeviceHolder.holders(of: hyperV.device) : [])
    }

    static func findings(
        _ device: FilePath, isThere: Bool, isRequired: Bool, holders: [DeviceHolder]
    ) -> [Finding] {
        guard isThere else {
            return [
                Finding(
                    name, isRequired ? .error : .warning,
                    "There is no \(device.escaped), so no Hyper-V host can ask for a backup.",
                    nextStep: """
                        On Hyper-V, switch on the integration service "Backup" of this machine and run \
                        `modprobe hv_utils`; elsewhere set hyperv.enabled = false.
                        """)
            ]
        }
        let strangers = holders.filter { $0.name != "quiesced" }
        guard let stranger = strangers.first else {
            let holder = holders.first.map { "is open in \($0)" } ?? "is there, and nobody has it open"
            return [Finding(name, .ok, "\(device.escaped) \(holder).")]
        }
        return [
            Finding(
                name, .error, "\(device.escaped) is held by \(stranger), and only one process can have it open.",
                nextStep: stranger.service.map {
                    "Run `systemctl mask --now \($0)`: udev starts a disabled one again."
                }
                    ?? "Stop that program, and keep it from starting again.")
        ]
    }
}
