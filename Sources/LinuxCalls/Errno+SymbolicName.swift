import CLinux
import SystemPackage

extension Errno {
    /// The constant's name (`EBUSY`; strerrorname_np(3)), or `errno 524` for a number that glibc has no name for.
    public var symbolicName: String {
        clinux_error_name(rawValue).map { String(cString: $0) } ?? "errno \(rawValue)"
    }
}
