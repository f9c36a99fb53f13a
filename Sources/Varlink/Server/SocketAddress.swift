import Glibc
import SystemPackage

extension FilePath {
    /// Calls with the path as the address of a socket (unix(7)); nil if it is too long for one.
    func withSocketAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let fits = withPlatformString { path in
            withUnsafeMutableBytes(of: &address.sun_path) { field in
                // With its terminating zero.
                guard length < field.count else { return false }
                field.copyMemory(from: UnsafeRawBufferPointer(start: path, count: length))
                return true
            }
        }
        guard fits else { return nil }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
