import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage

/// Opening the device, and finding who else did: the seam at which tests put their own errors.
protocol HyperVDeviceOpening: Sendable {
    /// - Throws: ENOENT if the driver is not loaded, EBUSY while another process has it open, EBADF while the
    ///   driver goes away (hv_utils_transport.c, hvt_op_open).
    func open(_ device: FilePath) throws(Errno) -> FileDescriptor
    func holders(of device: FilePath) -> [DeviceHolder]
    /// How long ago the driver made the device; nil for what is no driver's, or if it cannot be told.
    func age(of device: FilePath) -> Duration?
}

struct SystemDeviceOpening: HyperVDeviceOpening {
    func open(_ device: FilePath) throws(Errno) -> FileDescriptor {
        // A stand-in must not become our controlling terminal. O_NONBLOCK matters for a stand-in only: the driver
        // ignores it, and is therefore never read unless poll() says so.
        let noControllingTerminal = FileDescriptor.OpenOptions(rawValue: O_NOCTTY)
        let descriptor = try openDescriptor(device, .readWrite, options: [noControllingTerminal, .nonBlocking])
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0, status.st_mode & S_IFMT == S_IFCHR else {
            try? descriptor.close()
            throw .operationNotSupportedByDevice
        }
        return descriptor
    }

    func holders(of device: FilePath) -> [DeviceHolder] {
        DeviceHolder.holders(of: device)
    }

    func age(of device: FilePath) -> Duration? {
        MiscellaneousDevice.age(of: device)
    }
}
