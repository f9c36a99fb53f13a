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
    private let process: ProcessDirectory
    /// Whether its mounts are of interest. Once they are, they stay it for as long as it is held: a filesystem that
    /// is mounted in our own namespace too, later, is not gone from this one.
    var matters = false

    /// Opens the table through the first of the processes that lives and sees the whole namespace.
    ///
    /// - Returns: nil if none of them is in the namespace any more.
    /// - Throws: `LinuxSystemError` if descriptors ran out, or none of them may be looked at.
    init?(_ inode: UInt64, _ processes: [pid_t], proc: FilePath) throws(LinuxSystemError) {
        // One in a chroot sees the mounts below its root only.
        let all = processes.filter { Self.seesWholeNamespace($0, proc) }
        var failure: LinuxSystemError?
        for process in all + processes.filter({ !all.contains($0) }) {
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
        let table = try directory.open("mountinfo")
        do throws(Errno) {
            // Asked behind the opening: from then on the table is the one of this namespace, wherever the process goes.
            guard try directory.mountNamespace() == inode else {
                try? table.close()
                return nil
            }
        } catch {
            try? table.close()
            throw error
        }
        self.process = directory
        watch = MountTableWatch(table, path: proc.appending("\(process)/mountinfo"))
        let command = SmallFile.text(proc.appending("\(process)/comm")) ?? ""
        namespace = MountNamespace(inode: inode, processID: process, command: command)
    }

    /// The link's text is the process's root as a path in its own namespace (fs/d_path.c).
    private static func seesWholeNamespace(_ process: pid_t, _ proc: FilePath) -> Bool {
        (try? readSymbolicLink(proc.appending("\(process)/root"))) == "/"
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

    /// The root of the process, to look its namespace's paths up from.
    ///
    /// - Throws: `ENOENT` or `ESRCH` if the process has ended, or has moved to another namespace.
    func openRoot() throws(Errno) -> FileDescriptor {
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
