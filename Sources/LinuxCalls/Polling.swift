import FreezeCore
import Glibc
import SystemPackage

/// What a descriptor is asked for, and what it is ready for (poll(2)).
public struct PollEvents: OptionSet, Hashable, Sendable {
    public let rawValue: Int16

    public init(rawValue: Int16) {
        self.rawValue = rawValue
    }

    /// POLLIN: there is something to read, or the end.
    public static let readable = PollEvents(rawValue: Int16(POLLIN))
    /// POLLOUT: there is room to write.
    public static let writable = PollEvents(rawValue: Int16(POLLOUT))
    /// POLLPRI: something exceptional; a mount table has changed.
    public static let priority = PollEvents(rawValue: Int16(POLLPRI))
    /// POLLERR, told unasked.
    public static let error = PollEvents(rawValue: Int16(POLLERR))
    /// POLLHUP, told unasked: the other end is closed.
    public static let hangUp = PollEvents(rawValue: Int16(POLLHUP))
    /// POLLNVAL, told unasked: the descriptor is not open.
    public static let invalid = PollEvents(rawValue: Int16(POLLNVAL))
}

/// Polls several descriptors until one is ready or the moment has come. Returns the ready events of each, in order;
/// none where there is no descriptor, and none at all if poll(2) fails (ENOMEM).
public func pollDescriptors(
    _ interests: [(descriptor: FileDescriptor?, events: PollEvents)], until deadline: Moment?
) -> [PollEvents] {
    // A negative descriptor is passed over.
    var entries = interests.map {
        pollfd(fd: $0.descriptor?.rawValue ?? -1, events: $0.events.rawValue, revents: 0)
    }
    while true {
        let ready = poll(&entries, nfds_t(entries.count), deadline.map(pollTimeout) ?? -1)
        if ready >= 0 || errno != EINTR { return entries.map { PollEvents(rawValue: $0.revents) } }
    }
}

/// The same for a fixed number, without an allocation.
public func pollDescriptors<let count: Int>(
    _ interests: InlineArray<count, (descriptor: FileDescriptor?, events: PollEvents)>, until deadline: Moment?
) -> InlineArray<count, PollEvents> {
    withUnsafeTemporaryAllocation(of: pollfd.self, capacity: count) { entries in
        for index in 0..<count {
            let (descriptor, events) = interests[index]
            entries[index] = pollfd(fd: descriptor?.rawValue ?? -1, events: events.rawValue, revents: 0)
        }
        while true {
            let ready = poll(entries.baseAddress, nfds_t(count), deadline.map(pollTimeout) ?? -1)
            if ready >= 0 || errno != EINTR {
                return InlineArray { PollEvents(rawValue: entries[$0].revents) }
            }
        }
    }
}

/// Polls one descriptor. Returns the ready events, none if the time ran out.
public func pollOne(_ descriptor: FileDescriptor, events: PollEvents, atMost limit: Duration) -> PollEvents {
    pollDescriptors([(descriptor, events)], until: Moment.now + limit)[0]
}

extension FileDescriptor {
    /// What it is ready for at this moment.
    ///
    /// - Throws: ENOMEM: then nothing is known.
    public func readyEvents(_ events: PollEvents) throws(Errno) -> PollEvents {
        var entry = pollfd(fd: rawValue, events: events.rawValue, revents: 0)
        while poll(&entry, 1, 0) < 0 {
            let error = Errno(rawValue: Glibc.errno)
            guard error == .interrupted else { throw error }
        }
        return PollEvents(rawValue: entry.revents)
    }
}

/// Milliseconds until the moment, rounded up so that a deadline is never found not quite reached.
func pollTimeout(until deadline: Moment) -> CInt {
    let nanoseconds = max(0, (deadline - Moment.now).nanoseconds)
    return CInt(clamping: nanoseconds / 1_000_000 + (nanoseconds % 1_000_000 == 0 ? 0 : 1))
}
