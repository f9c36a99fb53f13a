import CLinux
import SystemPackage

/// Sockets between a virtual machine and its host (vsock(7)).
public enum VirtualSockets {
    /// The address (CID) of the machine.
    ///
    /// - Parameter device: `/dev/vsock`.
    /// - Throws: ENOENT without vsock, ENOTTY for another file.
    public static func localAddress(_ device: FilePath = "/dev/vsock") throws(Errno) -> UInt32 {
        let descriptor = try openDescriptor(device, .readOnly, options: .nonBlocking)
        defer { try? descriptor.close() }
        var address: UInt32 = 0
        try Errno.check(clinux_vsock_local_cid(descriptor.rawValue, &address))
        return address
    }
}
