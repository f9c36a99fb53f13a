import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// A socket that somebody else listens on. Its file stays when it is closed.
struct RawListener {
    let descriptor: FileDescriptor

    init(at path: FilePath, backlog: CInt = 8) throws {
        let number = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { throw Errno(rawValue: errno) }
        descriptor = FileDescriptor(rawValue: number)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.bytes) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0, listen(number, backlog) == 0 else { throw Errno(rawValue: errno) }
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
