import Configuration
import FreezeCore
import Glibc
import LinuxSystem
import SystemPackage
import Testing

@testable import Checks

/// Whether the host of the machine can request a backup.
@Suite struct HostCheckTests {
    let fixture: CheckFixture
    let port: FilePath

    init() throws {
        fixture = try CheckFixture()
        port = fixture.configuration.qemu.device
    }

    private static let qemu = ["sys_vendor": "QEMU", "product_name": "Standard PC (Q35 + ICH9, 2009)"]

    // MARK: Hosts

    @Test(arguments: [
        (qemu, HostPlatform.kvm),
        (["sys_vendor": "QEMU", "product_name": "QEMU Virtual Machine"], .kvm),
        (["sys_vendor": "Red Hat", "product_name": "KVM"], .kvm),
        (["sys_vendor": "OpenStack Foundation", "product_name": "OpenStack Nova"], .kvm),
        (["sys_vendor": "oVirt", "product_name": "RHEL", "chassis_vendor": "Red Hat"], .kvm),
        (["sys_vendor": "Hetzner", "product_name": "vServer", "chassis_vendor": "QEMU"], .kvm),
        (["bios_vendor": "Proxmox distribution of EDK II"], .kvm),
        (["sys_vendor": "KubeVirt", "product_name": "None", "product_family": "KubeVirt"], .kubeVirt),
        (["sys_vendor": "A provider", "product_family": "KubeVirt", "chassis_vendor": "QEMU"], .kubeVirt),
        (
            ["sys_vendor": "Red Hat", "product_name": "OpenShift Virtualization", "chassis_vendor": "QEMU"],
            .kubeVirt
        ),
        (["sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine"], .hyperV),
        (["sys_vendor": "Microsoft Corporation", "product_name": "Surface Pro"], .other),
        (["sys_vendor": "Dell Inc.", "product_name": "PowerEdge R650"], .other),
        (["sys_vendor": "VMware, Inc.", "product_name": "VMware7,1"], .other),
        ([:], .other),
    ])
    func `firmware tables name the host`(identity: [String: String], host: HostPlatform) throws {
        try fixture.setIdentity(identity)
        #expect(fixture.subject.host == host)
    }

    @Test(arguments: [
        ([:], HostPlatform.kvm), (["sys_vendor": "A provider"], .kvm),
        (["sys_vendor": "Google", "product_name": "Google Compute Engine"], .other),
        (["sys_vendor": "innotek GmbH", "product_name": "VirtualBox"], .other),
    ])
    func `virtio devices show KVM, unless firmware tables name another host`(
        identity: [String: String], host: HostPlatform
    ) throws {
        try fixture.setIdentity(identity)
        try fixture.makeDirectory(fixture.root.appending("sys/bus/virtio/devices"))
        #expect(fixture.subject.host == .other)
        try fixture.write("sys/bus/virtio/devices/virtio0/device", "0x0003")
        #expect(fixture.subject.host == host)
        try fixture.write("sys/hypervisor/type", "xen")
        #expect(fixture.subject.host == .other)
    }

    @Test(arguments: ["sys/bus/vmbus", "sys/class/misc/vmbus!hv_vss"])
    func `a driver of Hyper-V is stronger than any name`(directory: String) throws {
        try fixture.setIdentity(Self.qemu)
        try fixture.makeDirectory(fixture.root.appending(directory))
        #expect(fixture.subject.host == .hyperV)
    }

    // MARK: The device of Hyper-V

    @Test func `the holder of the Hyper-V device is named`() {
        func check(_ holders: DeviceHolder...) -> [Finding] { DeviceCheck.findings("/dev/hv", holders: holders) }
        let held = check(DeviceHolder(processID: 71, name: "hv_vss_daemon", service: "hv-vss-daemon.service"))
        #expect(held.verdicts == [.error])
        #expect(held.text.contains("hv_vss_daemon (process 71)"))
        #expect(held.text.contains("systemctl mask --now hv-vss-daemon.service"))
        let shell = check(DeviceHolder(processID: 7, name: "cat", service: "ssh.service"))
        #expect(shell.verdicts == [.error] && shell.first?.nextStep == "Stop process 7, and prevent its restart.")
        #expect(check(DeviceHolder(processID: 8, name: "quiesced", service: nil)).verdicts == [.ok])
        #expect(check().verdicts == [.ok])
    }

    @Test func `a missing Hyper-V device is judged by the host`() throws {
        let probe = fixture.subject.serviceProbe
        func check(_ host: HostPlatform, isRequired: Bool = false) -> [Finding] {
            DeviceCheck.missing("/dev/hv", isRequired: isRequired, host: host) {
                IntegrationService.vss.state(in: probe)
            }
        }
        #expect(check(.hyperV).verdicts == [.warning] && check(.hyperV).text.contains("modprobe hv_vmbus"))
        #expect(check(.hyperV, isRequired: true).verdicts == [.error])
        for host in [HostPlatform.kvm, .kubeVirt] {
            #expect(check(host).isEmpty)
            #expect(check(host, isRequired: true).verdicts == [.warning])
        }
        #expect(check(.other).verdicts == [.ok])
        #expect(check(.other, isRequired: true).verdicts == [.error])
    }

    @Test func `the host, the driver and the device are told apart as the cause of a missing device`() throws {
        func statement() -> String? { DeviceCheck.findings(fixture.subject).first?.statement }
        try fixture.makeDirectory(fixture.root.appending("sys/bus/vmbus/devices"))
        #expect(
            statement()
                == "The host has switched off the integration service VSS, so the host cannot request a backup.")
        #expect(
            DeviceCheck.findings(fixture.subject).first?.nextStep
                == "On the host, run `Enable-VMIntegrationService -VMName NAME -Name 'VSS'`.")
        let device = "sys/bus/vmbus/devices/vss"
        try fixture.write("\(device)/class_id", "{\(IntegrationService.vss.classID ?? "")}")
        #expect(statement() == "The driver hv_utils is not loaded, so the host cannot request a backup.")
        #expect(symlink("../../drivers/hv_utils", fixture.root.pushing(FilePath("\(device)/driver")).string) == 0)
        #expect(
            statement()
                == "The driver hv_utils is loaded, and has made no device for programs, so the host cannot request a "
                + "backup.")
        let own = try fixture.write("dev/vmbus/hv_vss", "")
        #expect(
            statement()
                == "The device of the host is \(own), and there is no \(fixture.configuration.hyperv.device).")
        fixture.configuration.hyperv.device = own
        #expect(statement() == "\(own) is there, and no process has the device open.")
    }

    @Test func `a Hyper-V channel that is off needs no device`() throws {
        fixture.configuration.hyperv.enabled = .off
        #expect(
            DeviceCheck.findings(fixture.subject).map(\.statement) == ["The Hyper-V channel is switched off."])
        try fixture.setIdentity(Self.qemu)
        #expect(DeviceCheck.findings(fixture.subject).isEmpty)
    }

    @Test func `a stand-in for the Hyper-V device is looked at on any host`() throws {
        try fixture.setIdentity(Self.qemu)
        let device = try fixture.write("hv_vss", "")
        try fixture.addProcess(12, "cat", with: device)
        let findings = DeviceCheck.findings(fixture.subject)
        #expect(findings.verdicts == [.error] && findings.text.contains("cat (process 12)"))
    }

    // MARK: The guest agent port

    @Test(arguments: [
        (ChannelSwitch.auto, HostPlatform.kvm, [Finding.Verdict.warning]), (.auto, .kubeVirt, [.warning]),
        (.auto, .hyperV, []), (.auto, .other, []),
        (.on, .kvm, [.error]), (.on, .other, [.error]), (.off, .kvm, [.ok]), (.off, .other, []),
    ])
    func `a missing port is judged by the host and the configuration`(
        use: ChannelSwitch, host: HostPlatform, verdicts: [Finding.Verdict]
    ) {
        let port = GuestAgentPort(device: "/dev/port", use: use, isThere: false, isLeft: false)
        let findings = AgentPortCheck.missing(port, node: nil, host: host)
        #expect(findings.verdicts == verdicts)
        guard use != .off, !verdicts.isEmpty else { return }
        #expect(findings.text.contains("There is no /dev/port"))
        #expect(findings.text.contains("<target type='virtio' name='org.qemu.guest_agent.0'/></channel>`"))
        #expect(findings.text.contains("`agent: 1`"))
    }

    @Test func `a port without its link in dev is named by its device`() throws {
        try fixture.setIdentity(Self.qemu)
        try fixture.write("sys/class/virtio-ports/vport1p1/name", "com.redhat.spice.0")
        #expect(AgentPortCheck.findings(fixture.subject).text.contains("so the host cannot request a backup"))
        try fixture.write("sys/class/virtio-ports/vport1p2/name", "org.qemu.guest_agent.0")
        let moved = AgentPortCheck.findings(fixture.subject)
        #expect(moved.verdicts == [.warning] && moved.text.contains("(/dev/vport1p2), but there is no \(port)"))
        #expect(moved.first?.nextStep?.contains("Remove device from section [qemu]") == true)
        let standard = GuestAgentPort(
            device: Configuration().qemu.device, use: .on, isThere: false, isLeft: false)
        let unlinked = AgentPortCheck.missing(standard, node: "/dev/vport1p2", host: .kvm)
        #expect(unlinked.verdicts == [.error])
        #expect(unlinked.first?.nextStep?.contains("udevadm trigger") == true)
    }

    @Test func `a free port, and a port of quiesced, are ok`() throws {
        try fixture.write("org.qemu.guest_agent.0", "")
        #expect(AgentPortCheck.findings(fixture.subject).text.contains("no process has the port open"))
        try fixture.addProcess(9, "quiesced", of: "quiesced.service", with: port)
        let findings = AgentPortCheck.findings(fixture.subject)
        #expect(findings.map(\.statement) == ["\(port) is open in quiesced (process 9) of quiesced.service."])
        #expect(findings.verdicts == [.ok])
    }

    @Test func `systemd keeps the port open for quiesced`() throws {
        try fixture.write("org.qemu.guest_agent.0", "")
        try installQemuAgent(withSocket: false)
        try fixture.addProcess(1, "systemd", of: nil, with: port)
        #expect(
            AgentPortCheck.findings(fixture.subject).map(\.statement) == [
                "\(port) is open in systemd (process 1)."
            ])
        #expect(relay().verdicts == [.warning])
        try fixture.addProcess(9, "quiesced", of: "quiesced.service", with: port)
        #expect(AgentPortCheck.findings(fixture.subject).text.contains("is open in quiesced (process 9)"))
        try fixture.addProcess(71, "qemu-ga", of: "qemu-guest-agent.service", with: port)
        #expect(AgentPortCheck.findings(fixture.subject).text.contains("is left to qemu-ga (process 71)"))
    }

    /// The drop-in of quiesce's package displaces the unit. Without the drop-in, udev starts the unit again.
    @Test(arguments: [false, true])
    func `qemu-ga on the port of quiesced is to be stopped`(isDisplaced: Bool) throws {
        try fixture.write("org.qemu.guest_agent.0", "")
        try installQemuAgent(withSocket: true)
        try fixture.addProcess(71, "qemu-ga", of: "qemu-guest-agent.service", with: port)
        if isDisplaced { try displaceQemuAgent() }
        let findings = AgentPortCheck.findings(fixture.subject)
        #expect(findings.verdicts == [.error])
        #expect(findings.text.contains("is held by qemu-ga (process 71) of qemu-guest-agent.service, and only"))
        let command = isDisplaced ? "stop" : "mask --now"
        #expect(
            findings.first?.nextStep
                == "Run `systemctl \(command) qemu-guest-agent.service`, but not during a backup.")
    }

    @Test func `a masked drop-in displaces nothing, and is no setting`() throws {
        try displaceQemuAgent()
        let agent = StockAgent(root: fixture.root)
        #expect(agent.isDisplaced)
        let masks = fixture.root.appending("etc/systemd/system/qemu-guest-agent.service.d")
        try fixture.makeDirectory(masks)
        #expect(symlink("/dev/null", masks.appending("quiesce.conf").string) == 0)
        #expect(!agent.isDisplaced)
        #expect(agent.ignoredSettings.isEmpty)
    }

    @Test func `another process on the port is to be stopped, and its service is not masked`() throws {
        try fixture.write("org.qemu.guest_agent.0", "")
        try fixture.addProcess(72, "socat", of: "ssh.service", with: port)
        let findings = AgentPortCheck.findings(fixture.subject)
        #expect(findings.verdicts == [.error])
        #expect(findings.first?.nextStep == "Stop process 72, and prevent its restart.")
    }

    @Test func `a port that is left to qemu-ga is a warning`() throws {
        try fixture.write("org.qemu.guest_agent.0", "")
        try installQemuAgent(withSocket: false)
        let unserved = AgentPortCheck.findings(fixture.subject)
        #expect(unserved.verdicts == [.error] && unserved.text.contains("no process answers the host"))
        try fixture.addProcess(71, "qemu-ga", of: "qemu-guest-agent.service", with: port)
        let findings = AgentPortCheck.findings(fixture.subject)
        #expect(findings.verdicts == [.warning])
        #expect(
            findings.text.contains("is left to qemu-ga (process 71) of qemu-guest-agent.service, which freezes"))
        #expect(findings.text.contains("`systemctl mask --now qemu-guest-agent.service`"))
        #expect(findings.text.contains("`systemctl start quiesce-qemu-ga.socket`"))
        fixture.configuration.qemu.enabled = .on
        #expect(AgentPortCheck.findings(fixture.subject).verdicts == [.error])
    }

    @Test func `a port that quiesced opened before is not left to qemu-ga`() throws {
        try fixture.write("org.qemu.guest_agent.0", "")
        try installQemuAgent(withSocket: false)
        try fixture.addProcess(9, "quiesced", of: "quiesced.service", with: port)
        #expect(AgentPortCheck.findings(fixture.subject).verdicts == [.ok])
    }

    @Test func `a channel that is off is a warning, unless qemu-ga has the port`() throws {
        try fixture.write("org.qemu.guest_agent.0", "")
        fixture.configuration.qemu.enabled = .off
        #expect(AgentPortCheck.findings(fixture.subject).verdicts == [.warning])
        try fixture.addProcess(71, "qemu-ga", of: "qemu-guest-agent.service", with: port)
        let findings = AgentPortCheck.findings(fixture.subject)
        #expect(findings.verdicts == [.ok] && findings.text.contains("belongs to qemu-ga (process 71)"))
    }

    // MARK: The relay

    @Test func `the paths of the relay are those of the units and of the daemon`() throws {
        let agent = StockAgent(root: "/")
        let socket = try Repository.text("packaging/\(StockAgent.relaySocketUnit)")
        let service = try Repository.text("packaging/\(StockAgent.relayService)")
        #expect(socket.contains("ListenStream=\(agent.relaySocket)\n"))
        #expect(service.contains("ExecStart=/usr/libexec/quiesced/quiesce-qemu-ga\n"))
        let starter = try Repository.text("packaging/quiesce-qemu-ga")
        #expect(starter.contains("${command:-/\(StockAgent.program)}"))
    }

    private func relay() -> [Finding] { RelayCheck.findings(fixture.subject) }

    @Test func `without a port of quiesced there is no relay`() throws {
        #expect(relay().isEmpty)
        try fixture.write("org.qemu.guest_agent.0", "")
        #expect(relay().verdicts == [.ok])
        try installQemuAgent(withSocket: false)
        // Left to qemu-ga.
        #expect(relay().isEmpty)
        fixture.configuration.qemu.enabled = .off
        #expect(relay().isEmpty)
    }

    @Test func `without qemu-ga, the missing commands are named`() throws {
        try fixture.write("org.qemu.guest_agent.0", "")
        let findings = relay()
        #expect(findings.verdicts == [.ok])
        #expect(findings.text.contains("guest-exec"))
        #expect(findings.text.contains("`apt-get install qemu-guest-agent`"))
    }

    @Test func `a socket without qemu-ga is a warning`() throws {
        try fixture.write("org.qemu.guest_agent.0", "")
        try fixture.write("run/quiesce-qemu-ga.sock", "")
        let findings = relay()
        #expect(findings.verdicts == [.warning])
        #expect(findings.text.contains("`systemctl stop quiesce-qemu-ga.socket`"))
    }

    @Test(arguments: [ChannelSwitch.on, .auto])
    func `qemu-ga without its socket is a warning`(use: ChannelSwitch) throws {
        fixture.configuration.qemu.enabled = use
        try fixture.write("org.qemu.guest_agent.0", "")
        try installQemuAgent(withSocket: false)
        try fixture.addProcess(9, "quiesced", of: "quiesced.service", with: port)
        let findings = relay()
        #expect(findings.verdicts == [.warning])
        #expect(findings.first?.nextStep == "Run `systemctl start quiesce-qemu-ga.socket`.")
    }

    @Test func `a socket without a listener is a warning`() throws {
        try fixture.write("org.qemu.guest_agent.0", "")
        try installQemuAgent(withSocket: true)
        let socket = fixture.root.appending("run/quiesce-qemu-ga.sock")
        // Without the kernel's list, only the file is known.
        #expect(relay().verdicts == [.ok])
        let title = "Num       RefCount Protocol Flags    Type St Inode Path\n"
        let connection = "0000000000000000: 00000003 00000000 00000000 0001 03 2392095 \(socket)\n"
        let other = "0000000000000000: 00000002 00000000 00010000 0001 01 2392096 \(socket)2\n"
        try fixture.write("proc/net/unix", title + connection + other)
        let findings = relay()
        #expect(findings.verdicts == [.warning])
        #expect(findings.first?.nextStep == "Run `systemctl restart quiesce-qemu-ga.socket`.")
        try fixture.makeDirectory(fixture.root.appending("etc/systemd/system"))
        let mask = fixture.root.appending("etc/systemd/system/quiesce-qemu-ga.socket")
        #expect(symlink("/dev/null", mask.string) == 0)
        #expect(relay().first?.nextStep?.hasPrefix("Run `systemctl unmask quiesce-qemu-ga.socket` and ") == true)
        let listener = "0000000000000000: 00000002 00000000 00010000 0001 01 2392097 \(socket)\n"
        try fixture.write("proc/net/unix", title + connection + listener)
        #expect(relay().map(\.statement) == ["systemd starts qemu-ga at the first command for qemu-ga."])
    }

    @Test func `qemu-ga behind quiesced is named`() throws {
        try fixture.write("org.qemu.guest_agent.0", "")
        try installQemuAgent(withSocket: true)
        // In another service.
        try fixture.addProcess(60, "qemu-ga", of: "qemu-guest-agent.service", with: "/dev/null")
        #expect(!relay().text.contains("runs behind quiesced"))
        try fixture.addProcess(61, "qemu-ga", of: "quiesce-qemu-ga.service", with: "/dev/null")
        #expect(relay().map(\.statement) == ["qemu-ga (process 61) runs behind quiesced."])
    }

    @Test(arguments: [
        "etc/systemd/system/qemu-guest-agent.service.d/override.conf",
        "etc/systemd/system/qemu-guest-agent.service", "etc/sysconfig/qemu-ga",
    ])
    func `settings that do not apply to the relay are named`(file: String) throws {
        try fixture.write("org.qemu.guest_agent.0", "")
        try installQemuAgent(withSocket: true)
        try fixture.write(file, "[Service]\nExecStart=\nNice=5\n")
        let findings = relay()
        #expect(findings.verdicts == [.ok, .warning])
        #expect(findings.text.contains("\(fixture.root.appending(file)): only the arguments"))
        // The admin has moved the settings.
        try fixture.write("etc/systemd/system/quiesce-qemu-ga.service.d/override.conf", "")
        #expect(relay().verdicts == [.ok])
    }

    @Test func `a drop-in with arguments alone applies to the relay`() throws {
        try fixture.write("org.qemu.guest_agent.0", "")
        try installQemuAgent(withSocket: true)
        try fixture.write(
            "etc/systemd/system/qemu-guest-agent.service.d/override.conf",
            "# Arguments\n[Service]\nExecStart=\nExecStart=/usr/sbin/qemu-ga --block-rpcs=guest-exec\n")
        #expect(relay().verdicts == [.ok])
    }

    @Test func `a mask of qemu-ga is no setting`() throws {
        try fixture.write("org.qemu.guest_agent.0", "")
        try installQemuAgent(withSocket: true)
        let units = fixture.root.appending("etc/systemd/system")
        try fixture.makeDirectory(units)
        #expect(symlink("/dev/null", units.appending("qemu-guest-agent.service").string) == 0)
        try fixture.write("etc/systemd/system/qemu-guest-agent.service.d/override.conf.bak", "")
        #expect(relay().verdicts == [.ok])
    }

    // MARK: KubeVirt's window

    @Test(arguments: [
        (60, 600, "freeze.max_window"), (300, 600, "freeze.max_window"), (600, 300, "qemu.max_window"),
        (200, 300, "freeze.max_window and qemu.max_window"), (301, 301, nil),
    ])
    func `a window within KubeVirt's limit is a warning`(freeze: Int, qemu: Int, keys: String?) throws {
        fixture.configuration.freeze.maxWindow = .seconds(freeze)
        fixture.configuration.qemu.maxWindow = .seconds(qemu)
        try fixture.setIdentity(["product_family": "KubeVirt"])
        let findings = WindowCheck.findings(fixture.subject)
        #expect(findings.verdicts == [keys == nil ? .ok : .warning])
        #expect(findings.first?.nextStep == keys.map { "Set \($0) to more than 5m, such as \"6m\"." })
        fixture.configuration.qemu.enabled = .off
        #expect(WindowCheck.findings(fixture.subject).isEmpty)
    }

    @Test func `other hosts have no limit`() throws {
        try fixture.setIdentity(Self.qemu)
        #expect(WindowCheck.findings(fixture.subject).isEmpty)
    }

    // MARK: Channels

    private func channels(
        _ host: HostPlatform, _ channel: (name: String, state: String, isRegistered: Bool)?,
        port: GuestAgentPort = GuestAgentPort(device: "/dev/port", use: .auto, isThere: true, isLeft: false)
    ) -> [Finding] {
        let own = channel.map {
            DaemonStatus.Channel(name: $0.name, state: $0.state, isRegistered: $0.isRegistered)
        }
        let control = DaemonStatus.Channel(name: "control", state: "listening", isRegistered: true)
        return ChannelCheck.findings([own, control].compactMap(\.self), isDryRun: false, host: host, port: port)
    }

    @Test(arguments: [(HostPlatform.hyperV, "hyperv"), (.kvm, "qemu"), (.kubeVirt, "qemu")])
    func `the channel of the host is looked at`(host: HostPlatform, name: String) {
        #expect(
            channels(host, (name, "registered", true)).map(\.statement) == ["The channel \(name) is registered."])
        let lost = channels(
            host, (name, "not registered: /dev/x: it cannot be opened: EIO. Look at the log.", false))
        #expect(lost.verdicts == [.warning] && lost.first?.nextStep != nil)
        #expect(!lost.text.contains(".."), "\(lost.text)")
        #expect(channels(host, nil).verdicts == [.warning])
        let other = name == "qemu" ? "hyperv" : "qemu"
        #expect(channels(host, (other, "registered", true)).verdicts == [.warning])
    }

    @Test func `a port that is missing, left or not used is no matter of the channel`() {
        for (use, isThere, isLeft) in [(ChannelSwitch.auto, false, false), (.auto, true, true)] {
            let port = GuestAgentPort(device: "/dev/port", use: use, isThere: isThere, isLeft: isLeft)
            #expect(channels(.kvm, ("qemu", "not registered", false), port: port).isEmpty)
            #expect(channels(.kvm, ("qemu", "registered", true), port: port).text.contains("is registered"))
        }
        let standIn = DaemonStatus.Channel(
            name: "hyperv", state: "registered, on a stand-in device", isRegistered: true)
        let missing = GuestAgentPort(device: "/dev/port", use: .auto, isThere: false, isLeft: false)
        let qemu = DaemonStatus.Channel(name: "qemu", state: "not registered", isRegistered: false)
        let rehearsal = ChannelCheck.findings([qemu, standIn], isDryRun: false, host: .kvm, port: missing)
        #expect(rehearsal.map(\.statement) == ["The channel hyperv is registered, on a stand-in device."])
        let unused = GuestAgentPort(device: "/dev/port", use: .off, isThere: true, isLeft: false)
        #expect(channels(.kvm, nil, port: unused).isEmpty)
    }

    @Test func `without a known host the control socket is enough`() {
        #expect(channels(.other, nil).verdicts == [.ok])
        #expect(channels(.other, ("hyperv", "not registered", false)).verdicts == [.ok])
        #expect(
            channels(.other, ("hyperv", "registered, on a stand-in device", true)).map(\.statement)
                == ["The channel hyperv is registered, on a stand-in device."])
    }

    @Test func `a dry run is an error on any host`() {
        let port = GuestAgentPort(device: "/dev/port", use: .auto, isThere: true, isLeft: false)
        for host in [HostPlatform.hyperV, .kvm, .kubeVirt, .other] {
            #expect(ChannelCheck.findings([], isDryRun: true, host: host, port: port).verdicts == [.error])
        }
    }

    // MARK: One host

    @Test(arguments: [false, true], ChannelSwitch.allCases)
    func `a KVM guest gets no advice about Hyper-V`(hasPort: Bool, use: ChannelSwitch) throws {
        try fixture.setIdentity(Self.qemu)
        if hasPort { try fixture.write("org.qemu.guest_agent.0", "") }
        fixture.configuration.qemu.enabled = use
        fixture.service = .running(channels: [], isDryRun: false)
        let findings = CheckRun.report(on: fixture.subject).findings
        #expect(findings.contains { $0.check == AgentPortCheck.name })
        for word in ["vmbus", "hv_", "yper-V", "hyperv"] {
            #expect(!findings.text.contains(word), "\(findings.text)")
        }
    }

    @Test func `a Hyper-V guest gets no advice about the guest agent port`() throws {
        try fixture.makeDirectory(fixture.root.appending("sys/bus/vmbus"))
        fixture.service = .running(channels: [], isDryRun: false)
        let findings = CheckRun.report(on: fixture.subject).findings
        #expect(findings.contains { $0.check == DeviceCheck.name && $0.verdict == .warning })
        for word in ["qemu", "guest agent"] { #expect(!findings.text.contains(word), "\(findings.text)") }
    }

    @Test func `a daemon that holds the port serves the host without the control socket`() throws {
        #expect(SocketCheck.findings(fixture.subject).verdicts == [.error])
        try fixture.write("org.qemu.guest_agent.0", "")
        try fixture.addProcess(9, "quiesced", of: "quiesced.service", with: port)
        #expect(SocketCheck.findings(fixture.subject).verdicts == [.warning])
        fixture.configuration.qemu.enabled = .off
        #expect(SocketCheck.findings(fixture.subject).verdicts == [.error])
    }

    private func installQemuAgent(withSocket: Bool) throws {
        try fixture.write("usr/sbin/qemu-ga", "", mode: 0o755)
        if withSocket { try fixture.write("run/quiesce-qemu-ga.sock", "") }
    }

    private func displaceQemuAgent() throws {
        try fixture.write("usr/lib/systemd/system/qemu-guest-agent.service.d/quiesce.conf", "")
        try fixture.write("etc/systemd/system/multi-user.target.wants/quiesced.service", "")
    }
}
