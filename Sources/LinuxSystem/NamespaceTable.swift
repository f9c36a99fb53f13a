import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// The mount table of another mount namespace, held open through a thread of the namespace.
///
/// The open table keeps the namespace and the mounts alive, even after the end of the last thread. Closing the
/// table may then unmount the filesystems; an unmount waits for the devices.
struct NamespaceTable: Sendable {
    let namespace: MountNamespace
    let watch: MountTableWatch
    /// Why not all of its mounts are seen, as a sentence; nil if they are.
    let partial: String?
    /// False in mount namespaces of user namespaces (rootless containers, browsers): the owners can change the
    /// table without end, but mount no disk. A mount propagated from another namespace is also in the table of the
    /// namespace where the mount was made. A disk mounted by root from outside is seen when planning and checking,
    /// and missed in the window.
    let canMountDisks: Bool
    /// The entries of the last read; empty unless the table matters.
    private(set) var entries: [MountEntry] = []
    private let thread: ProcessDirectory
    /// The namespace's root, if different from the thread's root.
    private let root: MountNamespaceRoot?
    /// Whether its mounts are of interest. Once they are, they stay it for as long as it is held: a filesystem that
    /// is mounted in our own namespace too, later, is not gone from this one.
    private var matters = false

    /// Opens the table through the first living thread, preferably a thread that sees the whole namespace.
    ///
    /// - Returns: nil if no thread is in the namespace any more.
    /// - Throws: `LinuxSystemError` if descriptors ran out, or if no thread may be inspected.
    init?(_ inode: UInt64, _ members: NamespaceScan.Members, proc: FilePath) throws(LinuxSystemError) {
        var failure: LinuxSystemError?
        for member in members.atRoot + members.elsewhere {
            do throws(Errno) {
                guard let table = try Self(inode, through: member, proc: proc) else { continue }
                self = table
                return
            } catch .noSuchFileOrDirectory {
                continue
            } catch .noSuchProcess {
                continue
            } catch .invalidArgument {
                // The thread is a zombie by now.
                continue
            } catch {
                let path = member.table(in: proc)
                failure =
                    error == .tooManyOpenFiles || error == .tooManyOpenFilesInSystem
                    ? .noDescriptor(for: path, error) : .mountTable(path, "cannot be opened", error)
            }
        }
        if let failure { throw failure }
        return nil
    }

    private init?(_ inode: UInt64, through member: NamespaceScan.Member, proc: FilePath) throws(Errno) {
        let directory = try ProcessDirectory(member.process, thread: member.thread, proc: proc)
        let path = member.table(in: proc)
        let table = MountTableWatch(try directory.open("mountinfo"), path: path)
        // Checked after opening: from then on the table belongs to this namespace, even if the thread moves.
        guard try directory.mountNamespace() == inode else { return nil }
        thread = directory
        let command = SmallFile.text(proc.appending("\(member.process)/comm")) ?? ""
        namespace = MountNamespace(
            inode: inode, processID: member.process,
            threadID: member.thread == member.process ? nil : member.thread, command: command)
        // If the owner cannot be read, the table is read in the window, too.
        canMountDisks = (try? directory.isMountNamespaceOfInitialUsers()) ?? true
        // One in a chroot sees the mounts below its root only; one whose root was unmounted sees none.
        if try directory.isAtNamespaceRoot(), !table.isEmpty {
            (watch, root, partial) = (table, nil, nil)
            return
        }
        switch NamespaceEntry.make(inode, of: directory, proc: proc, path: path) {
        case .success(let entry):
            (watch, root, partial) = (entry.watch, entry.root, nil)
        case .failure(.noSuchFileOrDirectory), .failure(.noSuchProcess):
            return nil
        case .failure(let errno):
            (watch, root) = (table, nil)
            partial =
                "Of \(namespace) only a part is seen: it is in a chroot, and its namespace cannot be entered: \(errno)."
        }
    }

    /// Reads the entries of the whole table; none if all mounts are on known superblocks, or on no disk of ours.
    ///
    /// - Parameters:
    ///   - attempts: The limit of reads for a consistent table.
    ///   - deadline: nil for no time limit.
    /// - Throws: `LinuxSystemError` if the table cannot be read or parsed, or was not read by the deadline.
    mutating func read(
        known: Set<DeviceNumber>, attempts: Int, until deadline: Moment? = nil
    ) throws(LinuxSystemError) {
        let bytes = try watch.bytes(attempts: attempts, until: deadline)
        let name = NamespaceScan.Member(namespace).table(in: "/proc")
        if !matters {
            // Any mount of a superblock will do: all mounts of a superblock have the same type and device.
            let new = try MountTable.parse(MountTable.lines(of: bytes, notOn: known), name: name, of: namespace)
            guard new.contains(where: \.kind.isLocal) else { return }
            matters = true
        }
        entries = try MountTable.parse(bytes, name: name, of: namespace)
    }

    /// The namespace, for entering.
    ///
    /// - Throws: `ENOENT` or `ESRCH` if the thread has ended, or has moved to another namespace.
    func openNamespace() throws(Errno) -> FileDescriptor {
        let opened = try thread.open("ns/mnt")
        var status = stat()
        guard fstat(opened.rawValue, &status) == 0, UInt64(status.st_ino) == namespace.inode else {
            try? opened.close()
            throw .noSuchFileOrDirectory
        }
        return opened
    }

    /// The root of the namespace, for looking up paths.
    ///
    /// - Throws: `ENOENT` or `ESRCH` if the thread has ended, or has moved to another namespace.
    func openRoot() throws(Errno) -> FileDescriptor {
        if let root { return try root.open() }
        let root = try thread.open("root", options: .directory)
        do throws(Errno) {
            if try thread.mountNamespace() == namespace.inode { return root }
        } catch {
            try? root.close()
            throw error
        }
        try? root.close()
        throw .noSuchFileOrDirectory
    }
}

extension NamespaceScan.Member {
    fileprivate init(_ namespace: MountNamespace) {
        self.init(process: namespace.processID, thread: namespace.threadID ?? namespace.processID)
    }

    /// The name of the thread's mount table, for errors.
    fileprivate func table(in proc: FilePath) -> FilePath {
        proc.appending(process == thread ? "\(process)/mountinfo" : "\(process)/task/\(thread)/mountinfo")
    }
}
