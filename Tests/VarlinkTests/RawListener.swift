import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// A socket that somebody else listens on. Its file stays when it is closed.
struct RawListener {
    let descriptor: FileDescriptor

    init(at path: FilePath, backlog: CInt = 8) throws {
        descriptor = try .localSocket(SOCK_STREAM, isBlocking: true)
        if let error = try LocalSocketAddress(path: path).bind(descriptor) { throw error }
        guard listen(descriptor.rawValue, backlog) == 0 else { throw Errno(rawValue: errno) }
    }

    /// The next client, seen from the server's side.
    func accept() throws -> RawClient {
        guard !pollOne(descriptor, events: .readable, atMost: RawClient.patience).isEmpty else {
            throw RawClient.TimedOut()
        }
        let number = Glibc.accept(descriptor.rawValue, nil, nil)
        guard number >= 0 else { throw Errno(rawValue: errno) }
        return RawClient(descriptor: FileDescriptor(rawValue: number))
    }
}
