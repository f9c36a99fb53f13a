import LinuxCalls
import SystemPackage

/// The host of this machine, as far as the kernel shows the host in files.
public enum HostPlatform: Hashable, Sendable {
    case hyperV
    /// QEMU, with or without KVM.
    case kvm
    /// KVM, managed by KubeVirt.
    case kubeVirt
    /// Another host, or no virtual machine.
    case other

    public static var ofThisMachine: HostPlatform { HostPlatform(sysfs: SystemPaths.live.sysfs) }

    /// Whether the host requests backups over the port of QEMU's guest agent.
    public var isKVM: Bool { self == .kvm || self == .kubeVirt }

    public init(sysfs: FilePath) {
        // hv_vmbus registers the bus only on a host with the bus, and hv_utils the device only if the host offers the
        // service. KVM with Hyper-V's CPUID has neither.
        let drivers = ["bus/vmbus", "class/misc/vmbus!hv_vss"]
        if drivers.contains(where: { (try? directoryEntries(sysfs.appending($0))) != nil }) {
            self = .hyperV
            return
        }
        let identity = Self.identityFields.compactMap {
            SmallFile.text(sysfs.appending("class/dmi/id").appending($0))
        }
        let isVirtio = (try? directoryEntries(sysfs.appending("bus/virtio/devices")))?.isEmpty == false
        let isXen = SmallFile.text(sysfs.appending("hypervisor/type")) == "xen"
        self =
            if identity.hasPrefix(in: Self.kubeVirtNames) {
                .kubeVirt
            } else if identity.hasPrefix(in: Self.qemuNames) {
                .kvm
            } else if identity.contains("Microsoft Corporation"), identity.contains("Virtual Machine") {
                .hyperV
            } else if isVirtio, !isXen, !identity.hasPrefix(in: Self.otherNames) {
                // Without firmware tables (s390x, a directly booted kernel), or with a provider's own names.
                .kvm
            } else {
                .other
            }
    }

    private static let identityFields = [
        "product_name", "sys_vendor", "product_family", "board_vendor", "chassis_vendor", "bios_vendor",
    ]

    /// KubeVirt's defaults (SmbiosConfigDefaultFamily), and the products of Red Hat with KubeVirt.
    private static let kubeVirtNames = ["KubeVirt", "OpenShift Virtualization", "Container-native virtualization"]

    /// QEMU's defaults, and the names given by OpenStack, oVirt, Red Hat and Proxmox. systemd has most of the names
    /// (src/basic/virt.c). A management tool sets its names for the system; QEMU's name stays on the chassis.
    private static let qemuNames = ["QEMU", "KVM", "Bochs", "OpenStack", "oVirt", "RHEV", "Red Hat", "Proxmox"]

    /// Hosts that can have virtio devices, and no port of QEMU's guest agent.
    private static let otherNames = [
        "VMware", "VMW", "innotek GmbH", "VirtualBox", "Oracle Corporation", "Xen", "Parallels", "BHYVE", "Apple",
        "Google", "Amazon EC2", "Microsoft Corporation",
    ]
}

extension [String] {
    fileprivate func hasPrefix(in names: [String]) -> Bool {
        contains { text in names.contains { text.hasPrefix($0) } }
    }
}
