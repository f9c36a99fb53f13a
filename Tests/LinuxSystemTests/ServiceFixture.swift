import FoundationEssentials
import SystemPackage

@testable import LinuxSystem

/// A directory that stands for a guest with services of its host.
final class ServiceFixture {
    let machine: MachineFixture

    init() throws {
        machine = try MachineFixture()
    }

    var root: FilePath { machine.root }

    var probe: ServiceProbe {
        ServiceProbe(
            sysfs: root.appending("sys"), proc: root.appending("proc"), devices: root.appending("dev"), root: root)
    }

    var services: HostServices { HostServices(probe) }

    func state(of service: IntegrationService) -> HostService { service.state(in: probe) }

    func makeDirectory(_ path: String) throws {
        try FileManager.default.createDirectory(
            atPath: root.pushing(FilePath(path)).string, withIntermediateDirectories: true)
    }

    // MARK: Hyper-V

    /// A guest of a host that offers every service with a device on the bus, with the driver of Linux 6.1.
    static func hyperV() throws -> ServiceFixture {
        let fixture = try ServiceFixture()
        try fixture.load("hv_utils")
        for service in IntegrationService.allCases where service.classID != nil {
            try fixture.offer(service, driver: "hv_utils")
        }
        for name in ["hv_kvp", "hv_vss", "hv_fcopy"] {
            try fixture.makeDirectory("sys/class/misc/vmbus!\(name)")
            try fixture.machine.write("dev/vmbus/\(name)", "")
        }
        return fixture
    }

    /// A device on the bus, as the kernel lays the device out.
    func offer(_ service: IntegrationService, driver: String?) throws {
        let directory = "sys/bus/vmbus/devices/\(service.rawValue)"
        try machine.write("\(directory)/class_id", "{\(service.classID ?? "")}")
        try machine.write("\(directory)/state", driver == nil ? "2" : "3")
        try driver.map { try machine.link("\(directory)/driver", to: "sys/bus/vmbus/drivers/\($0)") }
    }

    func rescind(_ service: IntegrationService) throws {
        try FileManager.default.removeItem(
            atPath: root.pushing(FilePath("sys/bus/vmbus/devices/\(service.rawValue)")).string)
    }

    func remove(_ path: String) throws {
        try FileManager.default.removeItem(atPath: root.pushing(FilePath(path)).string)
    }

    // MARK: Modules and processes

    func load(_ module: String) throws { try makeDirectory("sys/module/\(module)") }

    /// The files of depmod(8) for these modules.
    func install(modules: String...) throws {
        try machine.write("proc/sys/kernel/osrelease", "6.1.0-test")
        let lines = modules.map { "kernel/drivers/\($0).ko.xz: kernel/drivers/hv/hv_vmbus.ko.xz" }
        try machine.write("lib/modules/6.1.0-test/modules.dep", lines.joined(separator: "\n"))
    }

    /// A process with a descriptor on the device.
    func addProcess(_ process: Int, _ name: String, of service: String? = nil, with device: String) throws {
        try machine.write("proc/\(process)/comm", name)
        try machine.write("proc/\(process)/cgroup", "0::/system.slice" + (service.map { "/\($0)" } ?? ""))
        try machine.link("proc/\(process)/fd/4", to: device)
    }

    // MARK: KVM

    func addVirtioDevice(_ number: Int, type: String, driver: String?) throws {
        try machine.write("sys/bus/virtio/devices/virtio\(number)/device", type)
        try driver.map { try machine.link("sys/bus/virtio/devices/virtio\(number)/driver", to: "drivers/\($0)") }
    }

    func addPort(_ name: String = "org.qemu.guest_agent.0", number: String = "vport1p1") throws {
        try machine.write("sys/class/virtio-ports/\(number)/name", name)
        try machine.write("dev/\(number)", "")
    }
}
