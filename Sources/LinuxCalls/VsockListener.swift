import CLinux
import Glibc
import SystemPackage

/// A socket for connections from other machines (vsock(7)), such as the host of a virtual machine, also on Hyper-V.
public struct VsockListener: Sendable {
    /// Nonblocking.
    public let descriptor: FileDescriptor

    /// Listens on every address of the machine. The kernel may load modules for the socket.
    ///
    /// - Throws: EAFNOSUPPORT without the kernel's vsock module, EADDRINUSE for a port in use, EACCES for a port below
    ///   1024 without CAP_NET_BIND_SERVICE.
    public init(port: UInt32) throws(Errno) {
        descriptor = FileDescriptor(rawValue: try Errno.check(clinux_vsock_listen(port)))
    }

    /// The next connection, close-on-exec and nonblocking, and the context id of the machine at the other end. The
    /// transport sets the id: a peer cannot choose the id.
    ///
    /// - Throws: EAGAIN without a connection, ECONNABORTED or ENOTCONN for a closed connection, EMFILE, ENFILE, ENOMEM.
    public func accept() throws(Errno) -> (connection: FileDescriptor, contextID: UInt32) {
        var contextID: UInt32 = 0
        while true {
            let result = clinux_vsock_accept(descriptor.rawValue, &contextID)
            if result == -EINTR { continue }
            return (FileDescriptor(rawValue: try Errno.check(result)), contextID)
        }
    }

    public func close() {
        try? descriptor.close()
    }
}

/// The machine that may connect.
public enum VsockPeer {
    /// The host, seen from a guest (VMADDR_CID_HOST).
    public static let host: UInt32 = clinux_vsock_host

    /// The only machine that may connect: the host. In a debug build a test can name another machine, because a machine
    /// cannot connect to itself from CID 2.
    public static var accepted: UInt32 {
        #if DEBUG
            if let text = getenv("QUIESCE_VSOCK_PEER"), let contextID = UInt32(String(cString: text)) {
                return contextID
            }
        #endif
        return host
    }
}
