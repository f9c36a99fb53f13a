import LinuxCalls
import SystemPackage

/// A port of virtio's console device.
public enum VirtioPort {
    /// The name of the guest agent port.
    public static let guestAgent = "org.qemu.guest_agent.0"

    /// The device of the port; nil if the machine has no port of the name.
    public static func device(named name: String, sysfs: FilePath) -> FilePath.Component? {
        let ports = sysfs.appending("class/virtio-ports")
        return ((try? directoryEntries(ports)) ?? []).first {
            SmallFile.text(ports.appending($0).appending("name")) == name
        }
    }
}
