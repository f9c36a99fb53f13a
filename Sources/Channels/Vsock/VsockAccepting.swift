import LinuxCalls
import SystemPackage

/// The source of a vsock channel's connections. Tests replace the source: few machines can connect to themselves.
protocol VsockAccepting: Sendable {
    /// Readable while a connection waits.
    var descriptor: FileDescriptor { get }
    /// See ``VsockListener/accept()``.
    func accept() throws(Errno) -> (connection: FileDescriptor, contextID: UInt32)
    func close()
}

extension VsockListener: VsockAccepting {}
