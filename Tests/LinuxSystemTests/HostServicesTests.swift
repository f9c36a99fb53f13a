import FoundationEssentials
import SystemPackage
import Testing

@testable import LinuxSystem

/// The services of hosts other than Hyper-V, and the document for programs.
@Suite struct HostServicesTests {
    private func kvm() throws -> ServiceFixture {
        let fixture = try ServiceFixture()
        try fixture.machine.write("sys/class/dmi/id/sys_vendor", "QEMU")
        return fixture
    }

    private func service(_ id: String, of fixture: ServiceFixture) throws -> HostService {
        try #require(fixture.services.services.first { $0.id == id })
    }

    @Test func `a KVM guest without devices has services that are off`() throws {
        let services = try kvm().services
        #expect(services.host == .kvm && services.socketPort == nil)
        #expect(services.services.map(\.id) == ["guest_agent_port", "vsock", "balloon", "rng", "clock"])
        #expect(services.services.allSatisfy { $0.state == .off && $0.nextStep != nil })
        #expect(services.atFault.isEmpty)
    }

    @Test(arguments: [
        ("vsock", "0x0013", "vmw_vsock_virtio_transport"), ("balloon", "0x0005", "virtio_balloon"),
        ("rng", "0x0004", "virtio_rng"),
    ])
    func `a device needs its driver`(id: String, type: String, driver: String) throws {
        let fixture = try kvm()
        try fixture.addVirtioDevice(0, type: "0x0001", driver: "virtio_net")
        #expect(try service(id, of: fixture).state == .off)
        try fixture.addVirtioDevice(1, type: type, driver: nil)
        let broken = try service(id, of: fixture)
        #expect(broken.state == .broken && broken.isAtFault && broken.nextStep == "Run `modprobe \(driver)`.")
        try fixture.addVirtioDevice(1, type: type, driver: driver)
        let working = try service(id, of: fixture)
        #expect(working.state == .working && working.server == "kernel (\(driver))")
    }

    @Test func `a file of depmod can name a module with a dash`() throws {
        let fixture = try kvm()
        try fixture.addVirtioDevice(0, type: "0x0004", driver: nil)
        try fixture.install(modules: "char/hw_random/virtio-rng")
        #expect(try service("rng", of: fixture).nextStep == "Run `modprobe virtio_rng`.")
        try fixture.install(modules: "char/hw_random/virtio-rng2")
        #expect(try service("rng", of: fixture).statement == "The driver virtio_rng is not installed.")
    }

    @Test func `the process at the guest agent port is named`() throws {
        let fixture = try kvm()
        func port() throws -> HostService { try service("guest_agent_port", of: fixture) }
        try fixture.addVirtioDevice(0, type: "0x0003", driver: nil)
        #expect(try port().state == .broken)
        #expect(
            try port().statement == "The driver virtio_console is not loaded, so the ports of virtio0 are unknown."
        )
        try fixture.addVirtioDevice(0, type: "0x0003", driver: "virtio_console")
        try fixture.addPort("com.redhat.spice.0", number: "vport1p9")
        #expect(try port().state == .off)
        try fixture.addPort()
        #expect(try port().state == .idle && port().isAtFault)
        #expect(try port().device == fixture.root.appending("dev/vport1p1"))
        // systemd keeps the port open over a restart of quiesced.
        try fixture.addProcess(1, "systemd", with: "dev/vport1p1")
        #expect(try port().state == .idle)
        try fixture.addProcess(70, "qemu-ga", of: "qemu-guest-agent.service", with: "dev/vport1p1")
        #expect(try port().state == .working)
        #expect(try port().statement?.hasPrefix("qemu-ga freezes without") == true)
        try fixture.addProcess(60, "quiesced", of: "quiesced.service", with: "dev/vport1p1")
        #expect(try port().server == "quiesced (process 60) of quiesced.service")
        #expect(try port().statement == nil && port().nextStep == nil)
        try fixture.machine.link("dev/virtio-ports/org.qemu.guest_agent.0", to: "dev/vport1p1")
        #expect(try port().device == fixture.root.appending("dev/virtio-ports/org.qemu.guest_agent.0"))
        #expect(try port().process?.processID == 60)
    }

    @Test func `the clock of KVM is kvm-clock or a PTP clock`() throws {
        let fixture = try kvm()
        let sources = "sys/devices/system/clocksource/clocksource0"
        try fixture.machine.write("\(sources)/current_clocksource", "tsc")
        try fixture.machine.write("\(sources)/available_clocksource", "tsc hpet acpi_pm ")
        #expect(try service("clock", of: fixture).state == .off)
        #expect(try service("clock", of: fixture).statement == "The current clock source is tsc.")
        try fixture.machine.write("sys/class/ptp/ptp3/clock_name", "KVM virtual PTP")
        let ptp = try service("clock", of: fixture)
        #expect(
            ptp.state == .working && ptp.driver == "ptp_kvm" && ptp.device == fixture.root.appending("dev/ptp3"))
        try fixture.machine.write("\(sources)/available_clocksource", "kvm-clock tsc hpet acpi_pm ")
        #expect(try service("clock", of: fixture).driver == "kvm-clock")
    }

    @Test func `another machine has no services`() throws {
        let fixture = try ServiceFixture()
        try fixture.machine.write("sys/class/dmi/id/sys_vendor", "Dell Inc.")
        let services = fixture.services
        #expect(services.host == .other && services.services.isEmpty && services.atFault.isEmpty)
        #expect(services.summary == "This machine is no guest of Hyper-V or KVM: the host offers no services.")
    }

    // MARK: JSON

    @Test func `the document has every key, also without a value`() throws {
        let fixture = try ServiceFixture.hyperV()
        try fixture.addProcess(71, "quiesced", of: "quiesced.service", with: "dev/vmbus/hv_vss")
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let text = String(decoding: try encoder.encode(fixture.services), as: UTF8.self)
        let device = fixture.root.appending("dev/vmbus/hv_vss")
        #expect(
            text.contains(
                #"{"channel_state":3,"class_id":"35fa2e29-ea23-4236-96ae-3a6ebacba440","device":"\#(device)","#
                    + #""driver":"hv_utils","id":"vss","manager_name":"Backup (volume shadow copy)","name":"VSS","#
                    + #""next_step":null,"offered":true,"process":{"command":"quiesced","pid":71,"#
                    + #""unit":"quiesced.service"},"state":"working","statement":null}"#), "\(text)")
        #expect(
            text.contains(
                #"{"channel_state":null,"class_id":null,"device":null,"driver":null,"id":"powershell_direct","#
                    + #""manager_name":null,"name":"PowerShell Direct","next_step":"Use SSH"#), "\(text)")
        #expect(text.hasPrefix(#"{"host":"hyperv","services":[{"#))
        #expect(
            text.contains(
                #""socket":{"port":9119,"registration":["$key = New-Item"#), "\(text)")
        #expect(text.contains(#""service_id":"0000239f-facb-11e6-bd58-64006a7986d3"},"summary":"#))
        let other = String(decoding: try encoder.encode(try ServiceFixture().services), as: UTF8.self)
        #expect(other.hasPrefix(#"{"host":"other","services":[],"socket":null,"summary":"#), "\(other)")
    }
}
