import Glibc
import LinuxCalls
import SystemPackage

/// A module of the kernel with the driver of a host's service.
struct KernelModule: Sendable, Hashable {
    let name: String
    /// The option of the kernel's configuration.
    let option: String

    static let hvVMBus = KernelModule(name: "hv_vmbus", option: "CONFIG_HYPERV")
    static let hvUtils = KernelModule(name: "hv_utils", option: "CONFIG_HYPERV_UTILS")
    static let hvSock = KernelModule(name: "hv_sock", option: "CONFIG_HYPERV_VSOCKETS")
    static let uioHVGeneric = KernelModule(name: "uio_hv_generic", option: "CONFIG_UIO_HV_GENERIC")
    static let virtioConsole = KernelModule(name: "virtio_console", option: "CONFIG_VIRTIO_CONSOLE")
    static let virtioBalloon = KernelModule(name: "virtio_balloon", option: "CONFIG_VIRTIO_BALLOON")
    static let virtioRNG = KernelModule(name: "virtio_rng", option: "CONFIG_HW_RANDOM_VIRTIO")
    static let virtioVsock = KernelModule(name: "vmw_vsock_virtio_transport", option: "CONFIG_VIRTIO_VSOCKETS")
    static let ptpKVM = KernelModule(name: "ptp_kvm", option: "CONFIG_PTP_1588_CLOCK_KVM")

    enum State: Sendable, Hashable {
        /// Loaded as a module, or built in.
        case loaded
        /// Installed, or unknown because the kernel's list of modules cannot be read.
        case available
        case missing
    }

    func state(in machine: ServiceProbe) -> State {
        if machine.exists(machine.sysfs.appending("module").appending(name)) { return .loaded }
        guard let release = SmallFile.text(machine.proc.appending("sys/kernel/osrelease")) else {
            return .available
        }
        let directory = machine.root.appending("lib/modules").appending(release)
        if Self.lists(directory.appending("modules.builtin"), name) == true { return .loaded }
        return Self.lists(directory.appending("modules.dep"), name) == false ? .missing : .available
    }

    /// Whether a file of depmod(8) names the module; nil if the file cannot be read. A line of `modules.dep`
    /// continues with other modules.
    private static func lists(_ file: FilePath, _ name: String) -> Bool? {
        guard let bytes = SmallFile.read(file, limit: 16 << 20) else { return nil }
        return bytes.split(separator: UInt8(ascii: "\n")).contains { line in
            let path = line.prefix { $0 != UInt8(ascii: ":") }
            let start = path.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? path.startIndex
            let file = path[start...].prefix { $0 != UInt8(ascii: ".") }
            // A file name can have a dash for an underscore: virtio-rng.ko.
            return file.elementsEqual(name.utf8) { $0 == $1 || $0 == UInt8(ascii: "-") && $1 == UInt8(ascii: "_") }
        }
    }

    /// The reason why no driver of the module serves a device, and the remedy.
    func fault(_ state: State) -> (statement: String, nextStep: String) {
        switch state {
        case .loaded:
            (
                "The driver \(name) is loaded, and does not serve the device of the host.",
                "Read the kernel's messages about the driver: `dmesg | grep \(name)`."
            )
        case .available: ("The driver \(name) is not loaded.", "Run `modprobe \(name)`.")
        case .missing:
            (
                "The driver \(name) is not installed.",
                "Install a kernel with \(option), or the kernel's package with the module: linux-modules-extra on Ubuntu, "
                    + "kernel-modules on Fedora and RHEL."
            )
        }
    }
}
