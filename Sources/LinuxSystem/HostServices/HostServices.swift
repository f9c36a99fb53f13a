import FreezeCore

/// The services between this machine and its host: Hyper-V's integration services, or the devices of a KVM host.
public struct HostServices: Sendable, Hashable {
    public let host: HostPlatform
    /// Empty on other hosts, and without a host.
    public let services: [HostService]
    /// Nil if the host has no Hyper-V sockets.
    public let socketPort: HyperVSocketPort?

    /// Reads the state of every service. Changes nothing.
    ///
    /// - Parameter port: The port of vsock that a program on a Hyper-V host may connect to.
    public init(_ probe: ServiceProbe = ServiceProbe(), port: HyperVSocketPort = .quiesce) {
        host = HostPlatform(sysfs: probe.sysfs)
        switch host {
        case .hyperV:
            let bus = VMBus(probe)
            services = IntegrationService.allCases.map { $0.state(in: probe, bus) }
            socketPort = port
        case .kvm, .kubeVirt:
            services = VirtioService.allCases.map { $0.state(in: probe) }
            socketPort = nil
        case .other:
            services = []
            socketPort = nil
        }
    }

    /// The services that the host offers or may offer, but that do not work on this machine.
    public var atFault: [HostService] { services.filter(\.isAtFault) }

    public var summary: String {
        guard !services.isEmpty else {
            return "This machine is no guest of Hyper-V or KVM: the host offers no services."
        }
        let working = "Working services: \(services.count { $0.state == .working }) of \(services.count)."
        guard let first = atFault.first else { return working }
        let names = atFault.count > 1 ? "\(first.name) and \(atFault.count - 1) more need" : "\(first.name) needs"
        return "\(working) \(names) attention."
    }
}

/// The output of `quiescectl services --json`. Keys are added, never renamed, removed or given another meaning.
extension HostServices: Encodable {
    private enum CodingKeys: String, CodingKey {
        case host, services, socket, summary
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(host.word, forKey: .host)
        try container.encode(services, forKey: .services)
        // Null instead of a missing key: programs can rely on every key.
        try container.encode(socketPort, forKey: .socket)
        try container.encode(summary, forKey: .summary)
    }
}

extension HostPlatform {
    /// A stable word for programs.
    fileprivate var word: String {
        switch self {
        case .hyperV: "hyperv"
        case .kvm: "kvm"
        case .kubeVirt: "kubevirt"
        case .other: "other"
        }
    }
}

extension HostService: Encodable {
    private enum CodingKeys: String, CodingKey {
        case id, name, state, driver, device, process, statement
        case managerName = "manager_name"
        case isOffered = "offered"
        case classID = "class_id"
        case channelState = "channel_state"
        case nextStep = "next_step"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(name, forKey: .name)
        try container.encode(managerName, forKey: .managerName)
        try container.encode(state.rawValue, forKey: .state)
        try container.encode(isOffered, forKey: .isOffered)
        try container.encode(classID, forKey: .classID)
        try container.encode(channelState, forKey: .channelState)
        try container.encode(driver, forKey: .driver)
        try container.encode(device?.escaped, forKey: .device)
        try container.encode(process.map(Process.init), forKey: .process)
        try container.encode(statement, forKey: .statement)
        try container.encode(nextStep, forKey: .nextStep)
    }

    private struct Process: Encodable {
        let pid: Int32
        /// The name in the output of ps(1).
        let command: String
        let unit: String?

        init(_ holder: DeviceHolder) {
            pid = holder.processID
            command = holder.name
            unit = holder.service
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(pid, forKey: .pid)
            try container.encode(command, forKey: .command)
            try container.encode(unit, forKey: .unit)
        }

        enum CodingKeys: String, CodingKey {
            case pid, command, unit
        }
    }
}

extension HyperVSocketPort: Encodable {
    private enum CodingKeys: String, CodingKey {
        case port, registration
        case serviceID = "service_id"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(number, forKey: .port)
        try container.encode(serviceID, forKey: .serviceID)
        try container.encode(registration, forKey: .registration)
    }
}
