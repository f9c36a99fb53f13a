import FreezeCore
import LinuxCalls
import Synchronization
import SystemPackage

/// The mount tables of this machine: our own and, if wanted, those of all other mount namespaces. They are kept open,
/// to tell whether they changed and to read them again without opening a path (P7).
///
/// Not for two threads at once: the kernel tells a change once for each open file.
public final class MountTables: Sendable {
    /// What is looked at, at most. Far more than a machine has: whoever may make namespaces must not be able to keep a
    /// backup from being planned in time, or use up its memory.
    struct Limits: Sendable {
        var namespaces = 4096
        /// Mounts of the other namespaces that are kept.
        var mounts = 200_000
        /// For finding the namespaces, and again for reading their tables.
        var time = Duration.seconds(3)
    }

    /// For what the process has open besides.
    private static let otherDescriptors = 512
    /// The limit of reads for a consistent table of another namespace.
    private static let attempts = 3

    private struct State {
        var others: [NamespaceTable] = []
        /// What the last look for namespaces has left out.
        var unseenNamespaces: [String] = []
        /// The processes with an inaccessible mount namespace.
        var hidden: [HiddenProcess] = []
        /// What the last reading has left out.
        var unseenMounts: [String] = []
    }

    private let own: MountTableWatch
    let scope: PlanPolicy.MountNamespaces
    private let limits: Limits
    private let proc: FilePath
    private let state = Mutex(State())

    /// Opens the tables. Reads a link of every thread.
    ///
    /// - Parameter scope: The namespaces to look at.
    /// - Throws: `LinuxSystemError` if a table cannot be opened.
    public convenience init(_ scope: PlanPolicy.MountNamespaces) throws(LinuxSystemError) {
        try self.init(scope, proc: "/proc")
    }

    init(_ scope: PlanPolicy.MountNamespaces, proc: FilePath, limits: Limits = Limits()) throws(LinuxSystemError) {
        self.scope = scope
        self.limits = limits
        self.proc = proc
        own = try MountTableWatch(proc.appending("self/mountinfo"))
        try findNamespaces()
    }

    /// Where there may be filesystems that were not looked at, in sentences.
    public var unseen: [String] {
        state.withLock { state in
            // A hidden process fails the request: only its own table would show a disk that the process alone has
            // mounted.
            [HiddenProcess.sentence(on: state.hidden, proc: proc)].compactMap(\.self) + state.unseenNamespaces
                + state.others.compactMap(\.partial) + state.unseenMounts
        }
    }

    /// Looks for namespaces that are new, and opens their tables. Opens paths in /proc: not while something is frozen.
    ///
    /// - Throws: `LinuxSystemError` if one cannot be opened.
    public func findNamespaces() throws(LinuxSystemError) {
        guard scope == .all else { return }
        let deadline = Moment.now + limits.time
        let scan = try NamespaceScan(proc: proc)
        try state.withLock { state throws(LinuxSystemError) in
            state.unseenNamespaces = []
            state.hidden = scan.hidden
            let known = Set(state.others.map(\.namespace.inode))
            let new = scan.namespaces.filter { !known.contains($0) }
            // Up to three descriptors for each namespace: the table, the thread, the root. After a failure,
            // opening reports the lack of descriptors.
            try? DescriptorLimit.makeRoom(
                for: 3 * (known.count + min(new.count, limits.namespaces)), reserve: Self.otherDescriptors)
            for (index, inode) in new.enumerated() {
                guard state.others.count < limits.namespaces, Moment.now < deadline else {
                    state.unseenNamespaces.append(
                        "There are \(new.count - index) more mount namespaces on this machine than can be looked at."
                    )
                    break
                }
                guard let members = scan.members[inode] else { continue }
                if let table = try NamespaceTable(inode, members, proc: proc) {
                    state.others.append(table)
                }
            }
        }
    }

    /// True if a table in which disks can be mounted has changed since the last read. Does not block.
    public func hasChanged() -> Bool {
        state.withLock { state in
            own.hasChanged() || state.others.contains { $0.canMountDisks && $0.watch.hasChanged() }
        }
    }

    /// Our own table; then those of the namespaces that have a filesystem of a local disk mounted that is not mounted
    /// in ours. Through the descriptors that are open already.
    ///
    /// - Throws: `LinuxSystemError` if one cannot be read or understood.
    public func read() throws(LinuxSystemError) -> [MountEntry] {
        var mounts = try own.read()
        let known = Set(mounts.map(\.device))
        let deadline = Moment.now + limits.time
        return try state.withLock { state throws(LinuxSystemError) in
            var left = limits.mounts
            state.unseenMounts = []
            for index in state.others.indices {
                guard left > 0, Moment.now < deadline else {
                    state.unseenMounts.append(
                        "The mounts of \(state.others.count - index) mount namespaces are more than can be looked at."
                    )
                    break
                }
                // A user may change a table without end.
                let attempts = state.others[index].canMountDisks ? Self.attempts : 1
                try state.others[index].read(known: known, attempts: attempts)
                mounts += state.others[index].entries
                left -= state.others[index].entries.count
            }
            return mounts
        }
    }

    /// Reads the tables in the window, while writers wait. A table of another namespace is read again, once, if
    /// the table has changed and the namespace can mount disks. For the other namespaces, the entries of the last
    /// read count.
    ///
    /// - Parameter deadline: The end of the writers' patience.
    /// - Throws: `LinuxSystemError` if a table cannot be read or parsed, or was not read in time.
    public func readInWindow(until deadline: Moment) throws(LinuxSystemError) -> [MountEntry] {
        var mounts = try own.read(until: deadline)
        let known = Set(mounts.map(\.device))
        return try state.withLock { state throws(LinuxSystemError) in
            for index in state.others.indices {
                if state.others[index].canMountDisks, state.others[index].watch.hasChanged() {
                    try state.others[index].read(known: known, attempts: 1, until: deadline)
                }
                mounts += state.others[index].entries
            }
            return mounts
        }
    }

    /// The directory that a namespace's mount points are below.
    ///
    /// - Throws: `LinuxSystemError` with the code `unmounted` if the process that we know it by has ended.
    func openRoot(of namespace: MountNamespace) throws(LinuxSystemError) -> FileDescriptor {
        try open(namespace) { table throws(Errno) in try table.openRoot() }
    }

    /// The namespace, for entering.
    ///
    /// - Throws: `LinuxSystemError` with the code `unmounted` if the process that names the namespace has ended.
    func openNamespace(_ namespace: MountNamespace) throws(LinuxSystemError) -> FileDescriptor {
        try open(namespace) { table throws(Errno) in try table.openNamespace() }
    }

    private func open(
        _ namespace: MountNamespace, _ body: (NamespaceTable) throws(Errno) -> FileDescriptor
    ) throws(LinuxSystemError) -> FileDescriptor {
        let table = state.withLock { $0.others.first { $0.namespace == namespace } }
        let errno: Errno
        do throws(Errno) {
            guard let table else { throw .noSuchFileOrDirectory }
            return try body(table)
        } catch {
            errno = error
        }
        switch errno {
        case .noSuchFileOrDirectory, .noSuchProcess:
            throw LinuxSystemError(
                .unmounted, subject: "\(namespace)", problem: "the process has ended since the plan was made",
                remedy: "Try again.", underlyingError: errno)
        default:
            throw LinuxSystemError(
                .open, subject: "\(namespace)", problem: "its root cannot be opened", underlyingError: errno)
        }
    }

    /// Closes the tables of the other namespaces. Can block: the last process of one may have ended meanwhile, and
    /// then this unmounts what is mounted in it.
    public func close() {
        let others = state.withLock { state in
            defer { state.others = [] }
            return state.others
        }
        withExtendedLifetime(others) {}
    }
}
