import CLinux
import FreezeCore
import Glibc
import SystemPackage

/// Edge-triggered polling (epoll(7), EPOLLET): each change is one event. With poll(2), a descriptor whose other end stays
/// closed would wake its thread all the time.
public final class EdgePoll {
    private let descriptor: FileDescriptor

    /// - Throws: EMFILE, ENFILE or ENOMEM.
    public init() throws(Errno) {
        descriptor = FileDescriptor(rawValue: try Errno.check(clinux_epoll()))
    }

    deinit {
        try? descriptor.close()
    }

    /// Adds a descriptor. The first event is the present state.
    ///
    /// - Throws: EPERM for a regular file, ENOMEM, ENOSPC (fs.epoll.max_user_watches).
    public func add(_ other: FileDescriptor) throws(Errno) {
        try Errno.check(clinux_epoll_add(descriptor.rawValue, other.rawValue))
    }

    /// Removes a descriptor. Call before close(2): an open copy in another process would keep the descriptor in the set.
    public func remove(_ other: FileDescriptor) {
        _ = clinux_epoll_remove(descriptor.rawValue, other.rawValue)
    }

    /// Waits for an event.
    ///
    /// - Returns: The descriptors with events since the last call; none at the deadline.
    public func wait(until deadline: Moment?) -> Set<FileDescriptor> {
        var ready = [CInt](repeating: -1, count: 8)
        while true {
            let count = clinux_epoll_wait(
                descriptor.rawValue, &ready, CInt(ready.count), deadline.map(pollTimeout) ?? -1)
            if count < 0, errno == EINTR { continue }
            return Set(ready.prefix(max(0, Int(count))).map(FileDescriptor.init(rawValue:)))
        }
    }
}
