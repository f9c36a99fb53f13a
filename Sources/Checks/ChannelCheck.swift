import Configuration
import FreezeCore
import LinuxSystem
import SystemPackage

/// The host of this machine can ask for a backup.
enum ChannelCheck {
    static let name = "channels"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        guard case .running(let channels, let isDryRun) = subject.service else { return [] }
        return findings(channels, isDryRun: isDryRun, host: subject.host, port: GuestAgentPort(subject))
    }

    static func findings(
        _ channels: [DaemonStatus.Channel], isDryRun: Bool, host: HostPlatform, port: GuestAgentPort
    ) -> [Finding] {
        if isDryRun {
            return [
                Finding(
                    name, .error, "quiesced runs with --dry-run, so that it freezes nothing.",
                    nextStep: "Start it without --dry-run: `systemctl restart quiesced`.")
            ]
        }
        func channel(_ id: ChannelID) -> DaemonStatus.Channel? { channels.first { $0.name == id.name } }
        return switch host {
        case .hyperV: [hyperV(channel(.hyperV))]
        case .kvm, .kubeVirt: qemu(channel(.qemu), port).map { [$0] } ?? standIn(of: channels).map { [$0] } ?? []
        case .other:
            [standIn(of: channels) ?? Finding(name, .ok, "Backups are requested on the control socket.")]
        }
    }

    private static func hyperV(_ channel: DaemonStatus.Channel?) -> Finding {
        guard let channel else {
            return Finding(
                name, .warning, "This machine runs on Hyper-V, and the channel hyperv is switched off.",
                nextStep: "Remove hyperv.enabled = false from the configuration, and restart quiesced.")
        }
        return registration(channel)
    }

    /// Nil if AgentPortCheck describes why the channel does not serve the host.
    private static func qemu(_ channel: DaemonStatus.Channel?, _ port: GuestAgentPort) -> Finding? {
        guard let channel else {
            guard port.use != .off else { return nil }
            return Finding(
                name, .warning, "This machine runs on KVM, and quiesced was started without the channel qemu.",
                nextStep: "Restart quiesced: `systemctl restart quiesced`.")
        }
        if !channel.isRegistered, !port.isThere || port.isLeft { return nil }
        return registration(channel)
    }

    /// A channel without a host of its kind is registered with a stand-in, for rehearsals.
    private static func standIn(of channels: [DaemonStatus.Channel]) -> Finding? {
        channels.first {
            $0.isRegistered && [ChannelID.hyperV.name, ChannelID.qemu.name].contains($0.name)
        }.map(registration)
    }

    private static func registration(_ channel: DaemonStatus.Channel) -> Finding {
        if channel.isRegistered {
            return Finding(name, .ok, "The channel \(channel.name) is \(channel.state).")
        }
        return Finding(
            name, .warning, "The channel \(channel.name) is \(channel.state)".asSentence,
            nextStep: "Until it is registered the host gets no backup. See `journalctl -u quiesced`.")
    }
}
