import FreezeCore
import LinuxCalls
import SystemPackage

/// A service of a KVM host (QEMU), in place of Hyper-V's integration services. ``HostServices`` has the state of
/// each service on this machine.
enum VirtioService: String, CaseIterable, Sendable {
    case guestAgentPort = "guest_agent_port"
    case vsock
    case balloon
    case randomNumbers = "rng"
    case clock

    var name: String {
        switch self {
        case .guestAgentPort: "Guest agent port"
        case .vsock: "vsock"
        case .balloon: "Memory balloon"
        case .randomNumbers: "Random numbers"
        case .clock: "Clock"
        }
    }

    /// The type of the virtio device (Virtual I/O Device specification, section "Device Types"), and its driver;
    /// nil without a virtio device.
    var hardware: (type: Int, module: KernelModule)? {
        switch self {
        case .guestAgentPort: (3, .virtioConsole)
        case .randomNumbers: (4, .virtioRNG)
        case .balloon: (5, .virtioBalloon)
        case .vsock: (19, .virtioVsock)
        case .clock: nil
        }
    }

    /// The step on the host that adds the device, for libvirt.
    var hostStep: String {
        let libvirt: (String) -> String = { "On the host, add the device: in libvirt `\($0)`." }
        return switch self {
        case .guestAgentPort: "On the host, add the guest agent channel, as docs/kvm.md describes."
        case .vsock: libvirt("<vsock model='virtio'><cid auto='yes'/></vsock>")
        case .balloon: libvirt("<memballoon model='virtio'/>")
        case .randomNumbers: libvirt("<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>")
        case .clock: "Synchronize the clock over the network, with chrony or systemd-timesyncd."
        }
    }

    func state(in probe: ServiceProbe) -> HostService {
        let result = HostService(id: rawValue, name: name, state: .off, isOffered: false)
        switch self {
        case .guestAgentPort: return guestAgentPort(result, probe)
        case .vsock, .balloon, .randomNumbers: return device(result, probe)
        case .clock: return clock(result, probe)
        }
    }

    private func devices(_ probe: ServiceProbe) -> [FilePath] {
        probe.entries("bus/virtio/devices").filter { directory in
            // "0x0013"
            let digits = SmallFile.text(directory.appending("device"))?.dropFirst(2)
            return digits.flatMap { Int($0, radix: 16) } == hardware?.type
        }
    }

    private func device(_ service: HostService, _ probe: ServiceProbe) -> HostService {
        var result = service
        guard let device = devices(probe).first, let module = hardware?.module else {
            return result.with(.off, "The host has given the machine no such device.", nextStep: hostStep)
        }
        result.isOffered = true
        result.driver = probe.driver(of: device)
        guard result.driver != nil else {
            let fault = module.fault(module.state(in: probe))
            return result.with(.broken, fault.statement, nextStep: fault.nextStep)
        }
        guard self == .vsock else { return result.with(.working, nil) }
        let node = probe.devices.appending("vsock")
        result.device = probe.exists(node) ? node : nil
        let address = try? VirtualSockets.localAddress(node)
        return result.with(.working, address.map { "The address of this machine (CID) is \($0)." })
    }

    // MARK: The guest agent port

    private func guestAgentPort(_ service: HostService, _ probe: ServiceProbe) -> HostService {
        var result = service
        guard let number = VirtioPort.device(named: VirtioPort.guestAgent, sysfs: probe.sysfs) else {
            guard let module = hardware?.module,
                let unbound = devices(probe).first(where: { probe.driver(of: $0) == nil })
            else { return result.with(.off, "The host has given the machine no such port.", nextStep: hostStep) }
            let fault = module.fault(module.state(in: probe))
            result.isOffered = nil
            return result.with(
                .broken,
                "\(fault.statement.dropLast()), so the ports of \(unbound.lastComponent?.string ?? "") are unknown.",
                nextStep: fault.nextStep)
        }
        result.isOffered = true
        result.driver = hardware?.module.name
        let link = probe.devices.appending("virtio-ports").appending(VirtioPort.guestAgent)
        let node = probe.exists(link) ? link : probe.devices.appending(number)
        result.device = node
        let holders = DeviceHolder.holders(of: node, in: probe.processes)
        // systemd keeps the port open over a restart of quiesced.
        result.process = holders.first { $0.processID != 1 }
        guard let holder = result.process else {
            return result.with(
                .idle, "No process has \(node.escaped) open.",
                nextStep: HostService.quiescedStep)
        }
        guard holder.name == StockAgent.processName else { return result.with(.working, nil) }
        return result.with(
            .working, "qemu-ga freezes without the plan and the hooks of quiesce.",
            nextStep: "To use quiesce, follow docs/kvm.md.")
    }

    // MARK: The clock

    private func clock(_ service: HostService, _ probe: ServiceProbe) -> HostService {
        var result = service
        let sources = probe.sysfs.appending("devices/system/clocksource/clocksource0")
        let current = SmallFile.text(sources.appending("current_clocksource"))
        let available = SmallFile.text(sources.appending("available_clocksource"))?.split(separator: " ") ?? []
        // drivers/ptp/ptp_kvm_common.c
        result.device = probe.clock(named: ["KVM virtual PTP"])
        result.driver =
            available.contains("kvm-clock") ? "kvm-clock" : result.device.map { _ in KernelModule.ptpKVM.name }
        let statement = current.map { "The current clock source is \($0)." }
        guard result.driver != nil else { return result.with(.off, statement, nextStep: hostStep) }
        result.isOffered = true
        return result.with(.working, statement)
    }
}
