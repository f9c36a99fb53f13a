import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// The open guest agent port: a virtio-serial port, or a terminal instead. Used by a single thread.
///
/// drivers/char/virtio_console.c: without a client on the host, read(2) returns 0, write(2) fails with EAGAIN, and
/// poll(2) tells POLLHUP. Data can arrive before POLLHUP ends.
struct QEMUPort {
    /// Bytes of unwritten replies before reading pauses.
    static let mostOutput = 1 << 20

    let path: FilePath
    let descriptor: FileDescriptor
    /// True for a pseudoterminal in place of the port.
    let isStandIn: Bool
    private var output: [UInt8] = []
    /// How much of the output is written. Removing each written piece would copy megabytes of a long reply.
    private var writtenCount = 0

    /// Takes the descriptor over.
    init(path: FilePath, owning descriptor: FileDescriptor) throws(Errno) {
        self.path = path
        self.descriptor = descriptor
        let flags = fcntl(descriptor.rawValue, F_GETFL)
        _ = fcntl(descriptor.rawValue, F_SETFL, flags | O_NONBLOCK)
        _ = fcntl(descriptor.rawValue, F_SETFD, FD_CLOEXEC)
        var status = stat()
        // Unix98 pseudoterminals (Documentation/admin-guide/devices.txt). A serial line is a real port.
        isStandIn =
            fstat(descriptor.rawValue, &status) == 0 && 136...143 ~= DeviceNumber(deviceType: status.st_rdev).major
        if RawTerminal.isTerminal(descriptor) { try RawTerminal.makeRaw(descriptor) }
    }

    /// Opens the port. Only a single process can have the port open.
    ///
    /// - Throws: EBUSY while another process has the port open, ENOENT or ENXIO without a port, ENODEV unless the path is a
    ///   character device.
    static func open(_ path: FilePath) throws(Errno) -> QEMUPort {
        let noControllingTerminal = FileDescriptor.OpenOptions(rawValue: O_NOCTTY)
        let descriptor = try openDescriptor(path, .readWrite, options: [noControllingTerminal, .nonBlocking])
        do throws(Errno) {
            var status = stat()
            guard fstat(descriptor.rawValue, &status) == 0, status.st_mode & S_IFMT == S_IFCHR else {
                throw .operationNotSupportedByDevice
            }
            return try QEMUPort(path: path, owning: descriptor)
        } catch {
            try? descriptor.close()
            throw error
        }
    }

    func close() {
        try? descriptor.close()
    }

    /// The present state: `.hangUp` without a client on the host, and for a moment after a client has connected.
    ///
    /// Read after `.readable`: poll(2) takes the buffer from the queue (port_has_data), and the interrupt of the buffer then
    /// wakes no waiter (vring_interrupt).
    var state: PollEvents {
        pollOne(descriptor, events: .readable, atMost: .zero)
    }

    /// Reads the available bytes; empty without input.
    ///
    /// - Throws: `.deviceUnusable` when the port is unplugged.
    func read() throws(ChannelError) -> [UInt8] {
        do throws(Errno) {
            return try readOnce(descriptor, atMost: 4096)
        } catch .interrupted, .resourceTemporarilyUnavailable {
            return []
        } catch {
            throw unusable("reading failed: \(error)", error)
        }
    }

    // MARK: Output

    var hasOutput: Bool { writtenCount < output.count }

    /// Whether a reply is written in part.
    var isInsideReply: Bool { hasOutput && writtenCount > 0 && output[writtenCount - 1] != UInt8(ascii: "\n") }

    var mayServe: Bool { output.count - writtenCount < Self.mostOutput }

    mutating func add(_ bytes: [UInt8]) {
        output += bytes
    }

    /// Drops the unwritten replies, after the end of the client.
    mutating func dropOutput() {
        (output, writtenCount) = ([], 0)
    }

    /// Writes as much as there is room for.
    ///
    /// - Throws: `.deviceUnusable` when the port is unplugged.
    mutating func writeOutput() throws(ChannelError) {
        while writtenCount < output.count {
            // A write takes 32 KiB at most (port_fops_write).
            let count = output[writtenCount...].prefix(32_768).withUnsafeBytes {
                Glibc.write(descriptor.rawValue, $0.baseAddress, $0.count)
            }
            let error = Errno(rawValue: errno)
            if count > 0 {
                writtenCount += count
            } else if count == 0 || error == .resourceTemporarilyUnavailable {
                return
            } else if error != .interrupted {
                throw unusable("writing failed: \(error)", error)
            }
        }
        dropOutput()
    }

    func unusable(_ problem: String, _ error: Errno? = nil) -> ChannelError {
        ChannelError(.deviceUnusable, subject: path.string, problem: problem, underlyingError: error)
    }
}
