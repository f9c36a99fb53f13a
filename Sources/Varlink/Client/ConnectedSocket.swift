import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// A socket that is connected to the one at the path. Blocks while the server's queue is full.
///
/// Not left to NIO, whose sockets live on in whatever the process starts: the server would not see that the
/// client has gone.
func connectedSocket(to path: FilePath, until deadline: Moment) throws(VarlinkError) -> FileDescriptor {
    guard let address = try? LocalSocketAddress(path: path) else { throw .pathTooLong(path) }
    let socket: FileDescriptor
    do {
        socket = try .localSocket(SOCK_STREAM)
    } catch {
        throw .unreachable(path, error)
    }
    while true {
        guard let error = address.connect(socket) else { return socket }
        // The server's queue is full, and a socket that does not block does not wait for room (connect(2)).
        guard error == .resourceTemporarilyUnavailable, Moment.now < deadline else {
            try? socket.close()
            throw .unreachable(path, error)
        }
        _ = pollDescriptors([], until: .now + .milliseconds(20))
    }
}
