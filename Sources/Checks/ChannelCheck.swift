import Configuration
import FreezeCore
import Glibc
import LinuxSystem
import SystemPackage

/// The host of this machine can ask for a backup.
enum ChannelCheck {
    static let name = "channels"

    /// As the daemon names it.
    private static let hyperV = ChannelID.hyperV.name

    static func findings(_ subject: CheckSubject) -> [Finding] {
        guard case .running(let channels, let isDryRun) = subject.service else { return [] }
        let isOnHyperV = access(subject.sys.appending("bus/vmbus").string, F_OK) == 0
        return findings(channels, isDryRun: isDryRun, isOnHyperV: isOnHyperV)
    }

    /// - Parameter isOnHyperV: Whether the hypervisor of this machine is Hyper-V.
    static func findings(_ channels: [DaemonStatus.Channel], isDryRun: Bool, isOnHyperV: Bool) -> [Finding] {
        if isDryRun {
            return [
                Finding(
                    name, .error, "quiesced runs with --dry-run, so that it freezes nothing.",
                    nextStep: "Start it without --dry-run: `systemctl restart quiesced`.")
            ]
        }
        guard let channel = channels.first(where: { $0.name == hyperV }) else {
            guard isOnHyperV else {
                return [Finding(name, .ok, "Backups are asked for on the control socket.")]
            }
            return [
                Finding(
                    name, .warning, "This machine runs on Hyper-V, and the channel hyperv is switched off.",
                    nextStep: "Remove hyperv.enabled = false from the configuration, and restart quiesced.")
            ]
        }
        if channel.isRegistered { return [Finding(name, .ok, "The channel hyperv is \(channel.state).")] }
        // Of a device that is not there the check of the device tells.
        guard isOnHyperV else {
            return [Finding(name, .ok, "Backups are asked for on the control socket; the channel hyperv is idle.")]
        }
        return [
            Finding(
                name, .warning, "The channel hyperv is \(channel.state)".asSentence,
                nextStep: "Until it is registered the host gets no backup. See `journalctl -u quiesced`.")
        ]
    }
}
