import FreezeCore
import LinuxCalls
import SystemPackage

extension IntegrationService {
    /// The state of the service on this machine, a guest of Hyper-V.
    public func state(in probe: ServiceProbe) -> HostService { state(in: probe, VMBus(probe)) }

    func state(in probe: ServiceProbe, _ bus: VMBus) -> HostService {
        var result = HostService(id: rawValue, name: name, state: .unsupported, isOffered: nil)
        result.managerName = managerName
        result.classID = classID
        switch self {
        case .powerShellDirect:
            return result.with(
                .unsupported, "Linux has no part for PowerShell Direct.",
                nextStep: "Use SSH: over the network, or over Hyper-V sockets with `hvc ssh` on the host.")
        case .hyperVSockets: return sockets(result, probe, bus)
        case .heartbeat, .shutdown, .timeSynchronization, .keyValuePairExchange, .vss, .guestServiceInterface:
            return onBus(result, probe, bus)
        }
    }

    // MARK: Services with a device on the bus

    private func onBus(_ service: HostService, _ probe: ServiceProbe, _ bus: VMBus) -> HostService {
        var result = service
        guard bus.isThere else { return result.with(.broken, fault: .hvVMBus, probe) }
        let device = bus.device(of: self)
        result.isOffered = device != nil
        guard let device else {
            return result.with(
                .off, "The host does not offer the service.",
                nextStep: "On the host, run `Enable-VMIntegrationService -VMName NAME -Name '\(name)'`.")
        }
        result.channelState = device.channelState
        result.driver = device.driver
        guard let driver = device.driver else { return withoutDriver(result, probe) }
        guard deviceName != nil else {
            // The host's clock, for chrony and other programs.
            result.device = self == .timeSynchronization ? probe.clock(named: ["hyperv"]) : nil
            return result.with(.working, nil)
        }
        guard let node = node(of: device, driver, probe) else { return withoutNode(result, driver, probe) }
        result.device = node
        return servedByProgram(result, node, probe)
    }

    /// The module hv_utils of Linux 6.10 and later has no driver for file copy, and uio_hv_generic of most kernels
    /// serves a device only on demand.
    private func withoutDriver(_ service: HostService, _ probe: ServiceProbe) -> HostService {
        guard let module, module.state(in: probe) == .loaded, self == .guestServiceInterface, let classID else {
            return service.with(.broken, fault: module ?? .hvUtils, probe)
        }
        guard KernelModule.uioHVGeneric.state(in: probe) == .loaded else {
            return service.with(.broken, fault: .uioHVGeneric, probe)
        }
        return service.with(
            .broken, "The driver uio_hv_generic is loaded, and does not serve the device of the host.",
            nextStep: "Run `echo \(classID) >/sys/bus/vmbus/drivers/uio_hv_generic/new_id`.")
    }

    private func node(of device: VMBus.Device, _ driver: String, _ probe: ServiceProbe) -> FilePath? {
        guard driver == KernelModule.uioHVGeneric.name else {
            return deviceName.map { probe.devices.appending("vmbus").appending($0) }.flatMap {
                probe.exists($0) ? $0 : nil
            }
        }
        let numbers = (try? directoryEntries(device.directory.appending("uio"))) ?? []
        return numbers.first.map { probe.devices.appending($0) }.flatMap { probe.exists($0) ? $0 : nil }
    }

    private func withoutNode(_ service: HostService, _ driver: String, _ probe: ServiceProbe) -> HostService {
        let node = probe.devices.appending("vmbus").appending(deviceName ?? "").escaped
        let isKnown = deviceName.map { probe.exists(probe.sysfs.appending("class/misc/vmbus!\($0)")) } ?? false
        if driver == KernelModule.uioHVGeneric.name || !isKnown {
            return service.with(
                .broken, "The driver \(driver) is loaded, and has made no device for programs.",
                nextStep: "Read the kernel's messages about the driver: `dmesg | grep \(driver)`.")
        }
        return service.with(
            .broken, "The driver \(driver) has made its device, and there is no \(node).",
            nextStep: """
                Stop the daemons of the services, and run `modprobe --remove \(driver) && modprobe \(driver)`.
                """)
    }

    private func servedByProgram(_ service: HostService, _ node: FilePath, _ probe: ServiceProbe) -> HostService {
        var result = service
        let holders = DeviceHolder.holders(of: node, in: probe.processes)
        result.process = holders.first
        guard let holder = holders.first else {
            return result.with(
                .idle, "No process has \(node.escaped) open.", nextStep: startStep(probe))
        }
        guard self == .vss, let daemon, daemon.runs(in: holder) else { return result.with(.working, nil) }
        return result.with(
            .working, "\(holder.name) freezes without the plan and the hooks of quiesce.",
            nextStep: daemon.maskCommand(for: holders).map { "To use quiesce, run `\($0)`." })
    }

    /// The step that starts the program of the service.
    private func startStep(_ probe: ServiceProbe) -> String? {
        guard self != .vss, let daemon else { return HostService.quiescedStep }
        guard let unit = probe.installedUnit(daemon.units) else {
            let step = "Install the package hyperv-daemons, on Ubuntu linux-cloud-tools-virtual"
            return self == .guestServiceInterface
                ? "\(step); Debian 13 has no program for the service." : "\(step)."
        }
        return unit.isMasked
            ? "Run `systemctl unmask \(unit.name)` and `systemctl enable --now \(unit.name)`."
            : "Run `systemctl enable --now \(unit.name)`."
    }

    // MARK: Hyper-V sockets

    /// The host announces no device for the sockets: each connection is a device.
    private func sockets(_ service: HostService, _ probe: ServiceProbe, _ bus: VMBus) -> HostService {
        var result = service
        let module = KernelModule.hvSock
        guard bus.isThere else { return result.with(.broken, fault: .hvVMBus, probe) }
        let state = module.state(in: probe)
        if state == .loaded || probe.exists(probe.sysfs.appending("bus/vmbus/drivers/hv_sock")) {
            result.driver = module.name
            let device = probe.devices.appending("vsock")
            result.device = probe.exists(device) ? device : nil
            return result.with(.working, nil)
        }
        guard state == .available else { return result.with(.broken, fault: module, probe) }
        // With the first socket, the kernel loads every module for sockets of this family, but only if the family
        // is unknown.
        let isFamilyKnown = probe.exists(probe.sysfs.appending("module/vsock"))
        guard !isFamilyKnown else { return result.with(.broken, fault: module, probe) }
        return result.with(.idle, "The kernel loads hv_sock for the first program that opens a socket.")
    }
}

extension HostService {
    fileprivate func with(_ state: State, fault module: KernelModule, _ probe: ServiceProbe) -> HostService {
        let fault = module.fault(module.state(in: probe))
        return with(state, fault.statement, nextStep: fault.nextStep)
    }
}
