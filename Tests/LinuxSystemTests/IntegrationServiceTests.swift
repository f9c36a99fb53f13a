import FoundationEssentials
import SystemPackage
import Testing

@testable import LinuxSystem

/// The integration services of a Hyper-V guest.
@Suite struct IntegrationServiceTests {
    // MARK: Services that work

    @Test func `the kernel and the programs serve what the host offers`() throws {
        let fixture = try ServiceFixture.hyperV()
        try fixture.load("hv_sock")
        try fixture.addProcess(81, "quiesced", of: "quiesced.service", with: "dev/vmbus/hv_vss")
        try fixture.addProcess(82, "hypervkvpd", of: "hypervkvpd.service", with: "dev/vmbus/hv_kvp")
        try fixture.addProcess(83, "hv_fcopy_daemon", of: "hv-fcopy-daemon.service", with: "dev/vmbus/hv_fcopy")
        let services = fixture.services
        #expect(services.host == .hyperV)
        #expect(
            services.services.map(\.state) == [
                .working, .working, .working, .working, .working, .working, .unsupported, .working,
            ])
        #expect(
            services.services.map { $0.server ?? "-" } == [
                "kernel (hv_utils)", "kernel (hv_utils)", "kernel (hv_utils)",
                "hypervkvpd (process 82) of hypervkvpd.service", "quiesced (process 81) of quiesced.service",
                "hv_fcopy_daemon (process 83) of hv-fcopy-daemon.service", "-", "kernel (hv_sock)",
            ])
        #expect(services.services.filter { $0.nextStep != nil }.map(\.name) == ["PowerShell Direct"])
        #expect(services.atFault.isEmpty)
        #expect(services.summary == "Working services: 7 of 8.")
    }

    @Test func `the clock of the host is named`() throws {
        let fixture = try ServiceFixture.hyperV()
        try fixture.machine.write("sys/class/ptp/ptp0/clock_name", "KVM virtual PTP")
        #expect(fixture.state(of: .timeSynchronization).device == nil)
        try fixture.machine.write("sys/class/ptp/ptp1/clock_name", "hyperv")
        #expect(fixture.state(of: .timeSynchronization).device == fixture.root.appending("dev/ptp1"))
    }

    @Test func `a class id is compared without regard to its case`() throws {
        let fixture = try ServiceFixture.hyperV()
        let classID = try #require(IntegrationService.heartbeat.classID)
        let file = "sys/bus/vmbus/devices/heartbeat/class_id"
        try fixture.machine.write(file, "{\(classID.uppercased())}")
        #expect(fixture.state(of: .heartbeat).state == .working)
        try fixture.machine.write(file, "{00000000-0000-0000-0000-000000000000}")
        #expect(fixture.state(of: .heartbeat).state == .off)
    }

    // MARK: Switched off on the host

    @Test(arguments: IntegrationService.allCases.filter { $0.classID != nil })
    func `a service that is not offered is off, and the host's command is named`(service: IntegrationService)
        throws
    {
        let fixture = try ServiceFixture.hyperV()
        try fixture.rescind(service)
        let state = fixture.state(of: service)
        #expect(state.state == .off && state.isOffered == false && !state.isAtFault)
        #expect(
            state.nextStep?.contains("`Enable-VMIntegrationService -VMName NAME -Name '\(service.name)'`") == true)
        #expect(state.driver == nil && state.device == nil && state.process == nil)
    }

    // MARK: The driver

    @Test func `without the bus, every service is broken`() throws {
        let fixture = try ServiceFixture()
        try fixture.machine.write("sys/class/dmi/id/sys_vendor", "Microsoft Corporation")
        try fixture.machine.write("sys/class/dmi/id/product_name", "Virtual Machine")
        let services = fixture.services.services
        let broken = services.filter { $0.state == .broken }
        #expect(broken.count == 7 && broken.allSatisfy(\.isAtFault))
        #expect(Set(broken.map(\.nextStep)) == ["Run `modprobe hv_vmbus`."])
    }

    @Test func `a driver that is not loaded, is not installed or does not serve the device is told apart`() throws
    {
        let fixture = try ServiceFixture()
        try fixture.offer(.vss, driver: nil)
        func check(_ statement: String, _ nextStep: String) {
            let state = fixture.state(of: .vss)
            #expect(state.state == .broken && state.isOffered == true && state.isAtFault)
            #expect(state.statement == statement)
            #expect(state.nextStep?.contains(nextStep) == true)
        }
        check("The driver hv_utils is not loaded.", "Run `modprobe hv_utils`.")
        try fixture.install(modules: "hv/hv_utils")
        check("The driver hv_utils is not loaded.", "Run `modprobe hv_utils`.")
        try fixture.install(modules: "hv/hv_balloon")
        check("The driver hv_utils is not installed.", "CONFIG_HYPERV_UTILS")
        try fixture.machine.write("lib/modules/6.1.0-test/modules.builtin", "kernel/drivers/hv/hv_utils.ko")
        check(
            "The driver hv_utils is loaded, and does not serve the device of the host.", "`dmesg | grep hv_utils`")
        try fixture.remove("lib/modules/6.1.0-test/modules.builtin")
        try fixture.load("hv_utils")
        check(
            "The driver hv_utils is loaded, and does not serve the device of the host.", "`dmesg | grep hv_utils`")
    }

    @Test func `a driver without its device is broken`() throws {
        let fixture = try ServiceFixture.hyperV()
        try fixture.remove("dev/vmbus/hv_vss")
        let node = fixture.root.appending("dev/vmbus/hv_vss")
        let unlinked = fixture.state(of: .vss)
        #expect(unlinked.statement == "The driver hv_utils has made its device, and there is no \(node).")
        #expect(unlinked.nextStep?.contains("`modprobe --remove hv_utils && modprobe hv_utils`") == true)
        try fixture.remove("sys/class/misc/vmbus!hv_vss")
        let missing = fixture.state(of: .vss)
        #expect(missing.statement == "The driver hv_utils is loaded, and has made no device for programs.")
        #expect([unlinked, missing].allSatisfy { $0.state == .broken && $0.isAtFault && $0.device == nil })
    }

    // MARK: Programs

    @Test func `without a program, the services of programs are idle`() throws {
        let fixture = try ServiceFixture.hyperV()
        let services = fixture.services
        let idle = services.services.filter { $0.state == .idle && $0.isOffered == true }
        #expect(idle.map(\.name) == ["Key-Value Pair Exchange", "VSS", "Guest Service Interface"])
        #expect(services.atFault == idle)
        #expect(services.summary.hasSuffix("Key-Value Pair Exchange and 2 more need attention."))
        #expect(idle[0].nextStep?.contains("Install the package hyperv-daemons") == true)
        #expect(idle[1].nextStep == HostService.quiescedStep)
        #expect(idle[2].nextStep?.contains("Debian 13 has no program") == true)
        #expect(idle[1].statement == "No process has \(fixture.root)/dev/vmbus/hv_vss open.")
    }

    @Test(arguments: [
        ("lib/systemd/system/hv-kvp-daemon.service", "hv-kvp-daemon.service"),
        ("usr/lib/systemd/system/hypervkvpd.service", "hypervkvpd.service"),
        ("etc/systemd/system/hv_kvp_daemon.service", "hv_kvp_daemon.service"),
    ])
    func `an installed unit is to be enabled`(file: String, unit: String) throws {
        let fixture = try ServiceFixture.hyperV()
        try fixture.machine.write(file, "")
        let step = { fixture.state(of: .keyValuePairExchange).nextStep }
        #expect(step() == "Run `systemctl enable --now \(unit)`.")
        // Of a service with another device.
        #expect(fixture.state(of: .guestServiceInterface).nextStep?.hasPrefix("Install") == true)
        try fixture.makeDirectory("etc/systemd/system")
        let mask = fixture.root.appending("etc/systemd/system/\(unit)").string
        try? FileManager.default.removeItem(atPath: mask)
        try FileManager.default.createSymbolicLink(atPath: mask, withDestinationPath: "/dev/null")
        #expect(step() == "Run `systemctl unmask \(unit)` and `systemctl enable --now \(unit)`.")
    }

    @Test func `the stock daemon works, and is to be masked for quiesce`() throws {
        let fixture = try ServiceFixture.hyperV()
        try fixture.addProcess(71, "hv_vss_daemon", of: "hv-vss-daemon.service", with: "dev/vmbus/hv_vss")
        let state = fixture.state(of: .vss)
        #expect(state.state == .working && state.process?.processID == 71)
        #expect(state.statement == "hv_vss_daemon freezes without the plan and the hooks of quiesce.")
        #expect(state.nextStep?.contains("`systemctl mask --now hv-vss-daemon.service`") == true)
    }

    @Test func `names of processes are escaped`() throws {
        let fixture = try ServiceFixture.hyperV()
        try fixture.addProcess(71, "a\u{1B}[2J\u{202E}b", of: "x\u{7}.service", with: "dev/vmbus/hv_kvp")
        let state = fixture.state(of: .keyValuePairExchange)
        #expect(state.server == "a\\033[2J\\342\\200\\256b (process 71) of x\\007.service")
    }

    // MARK: File copy

    @Test func `file copy of Linux 6.10 and later is served over uio`() throws {
        let fixture = try ServiceFixture.hyperV()
        try fixture.rescind(.guestServiceInterface)
        try fixture.offer(.guestServiceInterface, driver: nil)
        func step() -> String? { fixture.state(of: .guestServiceInterface).nextStep }
        #expect(step() == "Run `modprobe uio_hv_generic`.")
        try fixture.load("uio_hv_generic")
        #expect(
            step()
                == "Run `echo 34d14be3-dee4-41c8-9ae7-6b174977c192 >/sys/bus/vmbus/drivers/uio_hv_generic/new_id`."
        )
        try fixture.rescind(.guestServiceInterface)
        try fixture.offer(.guestServiceInterface, driver: "uio_hv_generic")
        // The node of hv_utils does not belong to the service.
        #expect(fixture.state(of: .guestServiceInterface).state == .broken)
        try fixture.makeDirectory("sys/bus/vmbus/devices/guest_service_interface/uio/uio2")
        try fixture.machine.write("dev/uio2", "")
        #expect(fixture.state(of: .guestServiceInterface).state == .idle)
        try fixture.addProcess(84, "hv_fcopy_uio_da", of: "hypervfcopyd.service", with: "dev/uio2")
        let state = fixture.state(of: .guestServiceInterface)
        #expect(state.state == .working && state.device == fixture.root.appending("dev/uio2"))
    }

    // MARK: Hyper-V sockets

    @Test func `Hyper-V sockets need hv_sock, which is loaded for the first socket`() throws {
        let fixture = try ServiceFixture.hyperV()
        func state() -> HostService { fixture.state(of: .hyperVSockets) }
        #expect(state().state == .idle && !state().isAtFault)
        try fixture.install(modules: "hv/hv_utils")
        #expect(state().state == .broken && state().nextStep?.contains("CONFIG_HYPERV_VSOCKETS") == true)
        try fixture.install(modules: "vmw_vsock/hv_sock")
        // With vsock in the kernel, no first socket loads hv_sock.
        try fixture.load("vsock")
        #expect(state().state == .broken && state().nextStep == "Run `modprobe hv_sock`.")
        try fixture.makeDirectory("sys/bus/vmbus/drivers/hv_sock")
        #expect(state().state == .working && state().driver == "hv_sock" && state().isOffered == nil)
    }

    @Test(arguments: [
        (9119, "0000239f-facb-11e6-bd58-64006a7986d3"), (1, "00000001-facb-11e6-bd58-64006a7986d3"),
        (UInt32.max, "ffffffff-facb-11e6-bd58-64006a7986d3"),
    ])
    func `a port is the beginning of the id of its service`(port: UInt32, id: String) {
        #expect(HyperVSocketPort(port).serviceID == id)
        let registration = HyperVSocketPort(port).registration
        #expect(registration.joined().contains(#"\Virtualization\GuestCommunicationServices' -Name '\#(id)'"#))
    }

    // MARK: Names

    @Test func `ids and class ids are unique`() {
        #expect(Set(IntegrationService.allCases.compactMap(\.classID)).count == 6)
        let ids = IntegrationService.allCases.map(\.rawValue) + VirtioService.allCases.map(\.rawValue)
        #expect(Set(ids).count == ids.count)
    }

    @Test func `the unit and the package of quiesce know the units of the stock daemon`() throws {
        let unit = try Repository.text("packaging/quiesced.service")
        let package = try Repository.text("packaging/debian/postinst")
        let units = StockDaemon.vss.units.joined(separator: " ")
        #expect(unit.contains("Conflicts=\(units)\n"))
        #expect(package.contains("for unit in \(units); do"))
    }

    @Test func `only units of the stock daemon are masked`() {
        func command(_ holders: DeviceHolder...) -> String? { StockDaemon.vss.maskCommand(for: holders) }
        func holder(_ name: String, _ service: String?) -> DeviceHolder {
            DeviceHolder(processID: 5, name: name, service: service)
        }
        #expect(
            command(holder("hypervvssd", "hypervvssd.service")) == "systemctl mask --now hypervvssd.service")
        #expect(command(holder("hv_vss_daemon", "ssh.service")) == nil)
        #expect(command(holder("hv_vss_daemon", nil)) == nil)
        #expect(command(holder("python3", "hv-vss-daemon.service")) == nil)
        #expect(command() == nil)
        // The kernel shortens hv_fcopy_uio_daemon.
        #expect(StockDaemon.fcopy.runs(in: holder("hv_fcopy_uio_da", nil)))
        #expect(!StockDaemon.fcopy.runs(in: holder("hv_fcopy_uio", nil)))
        #expect(
            StockDaemon.vss.maskCommand
                == "systemctl mask --now hv-vss-daemon.service hv_vss_daemon.service hypervvssd.service")
    }
}
