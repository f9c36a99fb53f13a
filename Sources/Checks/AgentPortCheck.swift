import Configuration
import FreezeCore
import LinuxSystem
import SystemPackage

/// On a KVM guest, the port of the guest agent is there, and no other process has the port open.
enum AgentPortCheck {
    static let name = "agent_port"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        let port = GuestAgentPort(subject)
        guard port.isThere else {
            let node = VirtioPort.device(named: VirtioPort.guestAgent, sysfs: subject.sys)
                .map { FilePath("/dev").appending($0) }
            return missing(port, node: node, host: subject.host)
        }
        let agent = StockAgent(root: subject.root)
        return findings(port, holders: port.holders(subject), agent)
    }

    /// - Parameter node: The device node of the port, if the host has given the machine a port.
    static func missing(_ port: GuestAgentPort, node: FilePath?, host: HostPlatform) -> [Finding] {
        guard port.use != .off else {
            return host.isKVM ? [Finding(name, .ok, "The channel qemu is switched off.")] : []
        }
        let verdict: Finding.Verdict = port.use == .on ? .error : .warning
        if let node {
            let isStandard = port.device == Configuration().qemu.device
            return [
                Finding(
                    name, verdict,
                    "The host has added the guest agent port (\(node)), but there is no \(port.device.escaped).",
                    nextStep: isStandard
                        ? "Run `udevadm trigger --subsystem-match=virtio-ports`: udev makes the link."
                        : "Remove device from section [qemu] of the configuration, and restart quiesced.")
            ]
        }
        guard host.isKVM || port.use == .on else { return [] }
        return [
            Finding(
                name, verdict, "There is no \(port.device.escaped), so the host cannot request a backup.",
                nextStep: """
                    Add the guest agent channel to the virtual machine on the host: in libvirt \
                    `<channel type='unix'><target type='virtio' name='\(VirtioPort.guestAgent)'/></channel>`, in Proxmox VE \
                    `agent: 1`, in OpenStack the image property `hw_qemu_guest_agent=yes`. Then stop and start the \
                    virtual machine. On other hosts, set enabled = false in section [qemu] of the configuration.
                    """)
        ]
    }

    static func findings(_ port: GuestAgentPort, holders: [DeviceHolder], _ agent: StockAgent) -> [Finding] {
        let device = port.device.escaped
        let stranger = holders.first { !$0.isForQuiesced }
        let stock = stranger.flatMap { $0.name == StockAgent.processName ? $0 : nil }
        if port.use == .off {
            if let stock {
                return [Finding(name, .ok, "\(device) belongs to \(stock): the channel qemu is switched off.")]
            }
            return [
                Finding(
                    name, .warning, "The channel qemu is switched off, so quiesced does not answer on \(device).",
                    nextStep: """
                        Remove enabled = false from section [qemu] of the configuration, and restart quiesced; or \
                        return the port to qemu-ga, as docs/kvm.md describes.
                        """)
            ]
        }
        if port.isLeft, stock != nil || holders.isEmpty {
            let nextStep = agent.switchStep + "; or, to keep qemu-ga, follow docs/kvm.md."
            return [
                stock.map {
                    Finding(
                        name, .warning,
                        "\(device) is left to \($0), which freezes without the plan and the hooks of quiesce.",
                        nextStep: nextStep)
                }
                    ?? Finding(
                        name, .error,
                        "\(device) is left to qemu-ga, which does not have the port open: no process answers the host.",
                        nextStep: nextStep)
            ]
        }
        guard let stranger else {
            return [
                (holders.first { $0.processID != 1 } ?? holders.first).map {
                    Finding(name, .ok, "\(device) is open in \($0).")
                }
                    ?? Finding(name, .ok, "\(device) is there, and no process has the port open.")
            ]
        }
        return [
            Finding(
                name, .error, "\(device) is held by \(stranger), and only one process can have the port open.",
                nextStep: agent.freeingStep(stranger) + ".")
        ]
    }
}
