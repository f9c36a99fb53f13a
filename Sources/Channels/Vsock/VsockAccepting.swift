import LinuxCalls
import SystemPackage

/// Where the connections of a vsock channel come from. A seam for tests: few machines have a vsock to themselves.
protocol VsockAccepting: Sendable {
    /// Readable when a connection has come.
    var descriptor: FileDescriptor { get }
    /// As ``VsockListener/accept()``.
    func accept() throws(Errno) -> (connection: FileDescriptor, contextID: UInt32)
    func close()
}

extension VsockListener: VsockAccepting {}
