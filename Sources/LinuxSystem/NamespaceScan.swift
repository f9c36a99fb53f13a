import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// Which processes are in which mount namespace, but for our own. Reads two links of each process, and opens nothing.
struct NamespaceScan: Sendable {
    /// Of each kind. Enough to find one that lives.
    static let processesPerNamespace = 8

    /// Some of the processes of a namespace, the oldest first.
    struct Members {
        /// They see all of it.
        fileprivate(set) var atRoot: [pid_t] = []
        /// In a chroot.
        fileprivate(set) var elsewhere: [pid_t] = []
    }

    /// By the namespace's inode number.
    private(set) var members: [UInt64: Members] = [:]
    /// The namespaces, in the order of their first processes.
    private(set) var namespaces: [UInt64] = []
    /// How many processes may not be looked at.
    private(set) var hiddenCount = 0

    /// - Throws: `LinuxSystemError` if /proc cannot be read.
    init(proc: FilePath) throws(LinuxSystemError) {
        let own = Self.namespace(of: "self", in: proc)
        let processes: [pid_t]
        do throws(Errno) {
            processes = try directoryEntries(proc).compactMap { pid_t($0.string) }.sorted()
        } catch {
            throw .mountTable(proc, "cannot be listed", error)
        }
        for process in processes {
            switch Self.namespace(of: "\(process)", in: proc) {
            case .success(let inode):
                if own == .success(inode) { continue }
                if members[inode] == nil { namespaces.append(inode) }
                members[inode, default: Members()].add(process, proc)
            case .failure(.permissionDenied), .failure(.notPermitted):
                hiddenCount += 1
            // It has ended meanwhile, or is about to: a zombie is in no namespace any more.
            case .failure:
                break
            }
        }
    }

    /// The link's text is the process's root as a path in its own namespace (fs/d_path.c).
    fileprivate static func isAtNamespaceRoot(_ process: pid_t, _ proc: FilePath) -> Bool {
        (try? readSymbolicLink(proc.appending("\(process)/root"))) == "/"
    }

    private static func namespace(of process: String, in proc: FilePath) -> Result<UInt64, Errno> {
        do throws(Errno) {
            let link = try readSymbolicLink(proc.appending(process).appending("ns/mnt"))
            return ProcessDirectory.inode(inLink: link.string).map { .success($0) } ?? .failure(.ioError)
        } catch {
            return .failure(error)
        }
    }
}

extension NamespaceScan.Members {
    fileprivate mutating func add(_ process: pid_t, _ proc: FilePath) {
        let limit = NamespaceScan.processesPerNamespace
        guard atRoot.count < limit else { return }
        if NamespaceScan.isAtNamespaceRoot(process, proc) {
            atRoot.append(process)
        } else if elsewhere.count < limit {
            elsewhere.append(process)
        }
    }
}
