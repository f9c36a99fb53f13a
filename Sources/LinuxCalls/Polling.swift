import FreezeCore
import Glibc
import SystemPackage

/// Polls several descriptors until one is ready or the moment has come. Returns the ready events of each, in order.
public func pollDescriptors(
    _ interests: [(descriptor: FileDescriptor, events: Int16)], until deadline: Moment?
) -> [Int16] {
    var entries = interests.map { pollfd(fd: $0.descriptor.rawValue, events: $0.events, revents: 0) }
    while true {
        let ready = poll(&entries, nfds_t(entries.count), deadline.map(pollTimeout) ?? -1)
        if ready >= 0 || errno != EINTR { return entries.map(\.revents) }
    }
}

/// Polls one descriptor. Returns the ready events, 0 if the time ran out.
public func pollOne(_ descriptor: FileDescriptor, events: Int16, atMost limit: Duration) -> Int16 {
    pollDescriptors([(descriptor, events)], until: Moment.now + limit)[0]
}

/// Milliseconds until the moment, rounded up so that a deadline is never found not quite reached.
private func pollTimeout(until deadline: Moment) -> CInt {
    let nanoseconds = max(0, (deadline - Moment.now).nanoseconds)
    return CInt(clamping: nanoseconds / 1_000_000 + (nanoseconds % 1_000_000 == 0 ? 0 : 1))
}
