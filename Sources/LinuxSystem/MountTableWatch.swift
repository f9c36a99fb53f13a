import FreezeCore
import LinuxCalls
import SystemPackage

/// Keeps a mount table open, to tell whether it changed and to read it again without opening a path: this is done
/// while filesystems are frozen (P7).
///
/// Not for two threads at once: the kernel tells a change once for each open file.
public final class MountTableWatch: Sendable {
    private let path: FilePath
    private let descriptor: FileDescriptor

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

    /// True if the table changed since this was asked, or the table was read, the last time. Does not block.
    ///
    /// The kernel says so by POLLERR and POLLPRI (fs/proc_namespace.c: mounts_poll). A file that is no mountinfo
    /// never changes.
    public func hasChanged() -> Bool {
        // A poll that fails (ENOMEM) tells nothing: better look once too often.
        guard let events = try? descriptor.readyEvents(.priority) else { return true }
        return !events.isDisjoint(with: [.priority, .error])
    }

    /// True if it has no line at all, or cannot be read.
    var isEmpty: Bool {
        var byte: UInt8 = 0
        let count = try? withUnsafeMutableBytes(of: &byte) { try descriptor.read(fromAbsoluteOffset: 0, into: $0) }
        return count != 1
    }

    /// Reads the table through the descriptor that is open already.
    ///
    /// - Throws: `LinuxSystemError` if it cannot be read or understood, or does not come to rest.
    public func read() throws(LinuxSystemError) -> [MountEntry] {
        let (bytes, isOfOneMoment) = try readAtRest()
        guard isOfOneMoment else {
            throw LinuxSystemError(
                .mountTable, subject: path.escaped, problem: "it changes faster than it can be read",
                remedy: "Find out what mounts and unmounts all the time.")
        }
        return try MountTable.parse(bytes, name: path)
    }

    /// The table's bytes, and whether they are of one moment: a table longer than one read can change in between. If
    /// it never comes to rest, what is mounted all the while is in it nevertheless (fs/namespace.c: the kernel goes on
    /// behind the last mount that it has shown).
    func readAtRest() throws(LinuxSystemError) -> (bytes: [UInt8], isOfOneMoment: Bool) {
        var bytes: [UInt8] = []
        for _ in 0..<attempts {
            _ = hasChanged()
            bytes = try readBytes()
            if !hasChanged() { return (bytes, true) }
        }
        return (bytes, false)
    }

    private func readBytes() throws(LinuxSystemError) -> [UInt8] {
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
        }
    }

    /// Enough for a machine that starts containers while it is read.
    private var attempts: Int { 20 }
}
