import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// The mount table of another mount namespace, held open by way of a process in it.
///
/// The open table keeps the namespace and its mounts alive, also when the last process is gone: closing it may then
/// unmount them, and that waits for their devices.
struct NamespaceTable: Sendable {
    let namespace: MountNamespace
    let watch: MountTableWatch
    /// Why not all of its mounts are seen, as a sentence; nil if they are.
    let partial: String?
    private let process: ProcessDirectory
    /// The namespace's root, if the process has another one.
    private let root: MountNamespaceRoot?
    /// Whether its mounts are of interest. Once they are, they stay it for as long as it is held: a filesystem that
    /// is mounted in our own namespace too, later, is not gone from this one.
    var matters = false

    /// Opens the table through the first of the processes that lives; best one that sees the whole namespace.
    ///
    /// - Returns: nil if none of them is in the namespace any more.
    /// - Throws: `LinuxSystemError` if descriptors ran out, or none of them may be looked at.
    init?(_ inode: UInt64, _ members: NamespaceScan.Members, proc: FilePath) throws(LinuxSystemError) {
        var failure: LinuxSystemError?
        for process in members.atRoot + members.elsewhere {
            do throws(Errno) {
                guard let table = try Self(inode, through: process, proc: proc) else { continue }
                self = table
                return
            } catch .noSuchFileOrDirectory {
                continue
            } catch .noSuchProcess {
                continue
            } catch {
                let path = proc.appending("\(process)/mountinfo")
                failure =
                    error == .tooManyOpenFiles || error == .tooManyOpenFilesInSystem
                    ? .noDescriptor(for: path, error) : .mountTable(path, "cannot be opened", error)
            }
        }
        if let failure { throw failure }
        return nil
    }

    private init?(_ inode: UInt64, through process: pid_t, proc: FilePath) throws(Errno) {
        let directory = try ProcessDirectory(process, proc: proc)
        let path = proc.appending("\(process)/mountinfo")
        let table = MountTableWatch(try directory.open("mountinfo"), path: path)
        // Asked behind the opening: from then on the table is the one of this namespace, wherever the process goes.
        guard try directory.mountNamespace() == inode else { return nil }
        self.process = directory
        let command = SmallFile.text(proc.appending("\(process)/comm")) ?? ""
        namespace = MountNamespace(inode: inode, processID: process, command: command)
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

    /// The whole table, or nothing if everything in it is on superblocks that are known, or on no disk of ours.
    ///
    /// - Throws: `LinuxSystemError` if it cannot be read or understood.
    mutating func read(known: Set<DeviceNumber>) throws(LinuxSystemError) -> [MountEntry] {
        // Others may mount and unmount there without end, and need not be root for it: that must not stop a backup.
        let bytes = try watch.readAtRest().bytes
        let name = FilePath("/proc/\(namespace.processID)/mountinfo")
        if !matters {
            let new = try MountTable.parse(MountTable.lines(of: bytes, notOn: known), name: name, of: namespace)
            guard new.contains(where: \.isOnLocalDisk) else { return [] }
            matters = true
        }
        return try MountTable.parse(bytes, name: name, of: namespace)
    }

    /// The root of the namespace, to look its paths up from.
    ///
    /// - Throws: `ENOENT` or `ESRCH` if the process has ended, or has moved to another namespace.
    func openRoot() throws(Errno) -> FileDescriptor {
        if let root { return try root.open() }
        let root = try process.open("root", options: .directory)
        do throws(Errno) {
            if try process.mountNamespace() == namespace.inode { return root }
        } catch {
            try? root.close()
            throw error
        }
        try? root.close()
        throw .noSuchFileOrDirectory
    }
}
