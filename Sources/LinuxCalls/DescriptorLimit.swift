import Glibc
import Synchronization
import SystemPackage

/// The number of descriptors this process may have (getrlimit(2), RLIMIT_NOFILE).
public enum DescriptorLimit {
    private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    /// As it was before it was raised; nil while it is not.
    static var original: rlimit? { atStart.withLock(\.self) }
    private static let atStart = Mutex<rlimit?>(nil)

    /// Raises the soft limit (1024 by default) to the hard one. Not without need in a process that starts programs:
    /// they inherit it, and some still use select(2), which the low limit protects.
    public static func raise() throws(Errno) {
        var limit = try current()
        guard limit.rlim_cur < limit.rlim_max else { return }
        atStart.withLock { [limit] in $0 = $0 ?? limit }
        limit.rlim_cur = limit.rlim_max
        guard setrlimit(resource, &limit) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Raises it if this many more descriptors might not fit.
    ///
    /// - Parameter reserve: For what the process has open besides.
    /// - Throws: EMFILE if not even the hard limit lets that many be open.
    public static func makeRoom(for count: Int, reserve: Int) throws(Errno) {
        let wanted = rlim_t(count + reserve)
        if try wanted > current().rlim_cur { try raise() }
        if try wanted > current().rlim_cur { throw .tooManyOpenFiles }
    }

    private static func current() throws(Errno) -> rlimit {
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { throw Errno(rawValue: errno) }
        return limit
    }
}
