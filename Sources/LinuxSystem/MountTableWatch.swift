import FreezeCore
import LinuxCalls
import Synchronization
import SystemPackage

/// Keeps a mount table open, to tell whether it changed and to read it again without opening a path: this is done
/// while filesystems are frozen (P7).
///
/// Not for two threads at once: the kernel tells a change once for each open file.
public final class MountTableWatch: Sendable {
    /// The limit of reads for a consistent table. Enough for a machine that starts containers meanwhile.
    static let patience = 20

    private let path: FilePath
    private let descriptor: FileDescriptor
    private let isStale = Atomic(false)

    /// Takes over a table that is open already.
    ///
    /// - Parameter path: its name for errors.
    init(_ descriptor: FileDescriptor, path: FilePath) {
        self.path = path
        self.descriptor = descriptor
    }

    /// - Parameter path: `/proc/self/mountinfo`, or another process's.
    /// - Throws: `LinuxSystemError` if it cannot be opened.
    public init(_ path: FilePath = "/proc/self/mountinfo") throws(LinuxSystemError) {
        self.path = path
        do {
            descriptor = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
        } catch {
            throw .mountTable(path, "cannot be opened", error as? Errno)
        }
    }

    deinit {
        // Nothing was written through it: there is nothing a failing close could tell.
        try? descriptor.close()
    }

    /// True if the table changed since the last read, or since the opening. Does not block.
    ///
    /// The kernel reports a change once, by POLLERR and POLLPRI (fs/proc_namespace.c: mounts_poll). A file other
    /// than mountinfo never changes.
    public func hasChanged() -> Bool {
        // A poll that fails (ENOMEM) tells nothing: better look once too often.
        let events = (try? descriptor.readyEvents(.priority)) ?? .error
        if !events.isDisjoint(with: [.priority, .error]) { isStale.store(true, ordering: .relaxed) }
        return isStale.load(ordering: .relaxed)
    }

    /// True if it has no line at all, or cannot be read.
    var isEmpty: Bool {
        var byte: UInt8 = 0
        let count = try? withUnsafeMutableBytes(of: &byte) { try descriptor.read(fromAbsoluteOffset: 0, into: $0) }
        return count != 1
    }

    /// Reads the table through the open descriptor.
    ///
    /// - Throws: `LinuxSystemError` if the table cannot be read or parsed.
    public func read() throws(LinuxSystemError) -> [MountEntry] {
        try MountTable.parse(try bytes(), name: path)
    }

    /// Reads the table in the window, while writers wait: once, and not past the deadline.
    func read(until deadline: Moment) throws(LinuxSystemError) -> [MountEntry] {
        try MountTable.parse(try bytes(attempts: 1, until: deadline), name: path)
    }

    /// The table's bytes, consistent if the table does not change during one of the attempts. A table longer than
    /// one read can change between reads.
    ///
    /// Any user can change a table without end. The bytes then hold every mount that existed during the whole
    /// reading: the kernel continues behind the last mount shown (fs/namespace.c: m_start). `hasChanged` reports
    /// the changes.
    func bytes(
        attempts: Int = patience, until deadline: Moment? = nil
    ) throws(LinuxSystemError) -> [UInt8] {
        var attempt = 1
        while true {
            _ = hasChanged()
            let bytes = try readBytes(until: deadline)
            isStale.store(false, ordering: .relaxed)
            if !hasChanged() || attempt >= attempts { return bytes }
            attempt += 1
        }
    }

    private func readBytes(until deadline: Moment?) throws(LinuxSystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count: Int
            do {
                count = try chunk.withUnsafeMutableBytes { buffer in
                    try descriptor.read(fromAbsoluteOffset: Int64(bytes.count), into: buffer)
                }
            } catch {
                throw .mountTable(path, "cannot be read", error as? Errno)
            }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            if let deadline, Moment.now >= deadline { throw .lateMountTable(path) }
        }
    }
}
