import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// The threads of each mount namespace but our own. Reads a link of each thread, and opens nothing but the directory
/// of each process's threads.
struct NamespaceScan: Sendable {
    /// Of each kind. Enough to find one that lives.
    static let membersPerNamespace = 8

    /// A thread through which a mount namespace is reached.
    struct Member: Hashable, Sendable {
        let process: pid_t
        let thread: pid_t
    }

    /// Some threads of a namespace: one thread of each process, the oldest process first. Threads of a process
    /// often end together.
    struct Members {
        /// They see all of it.
        fileprivate(set) var atRoot: [Member] = []
        /// In a chroot.
        fileprivate(set) var elsewhere: [Member] = []
    }

    /// By the namespace's inode number.
    private(set) var members: [UInt64: Members] = [:]
    /// The namespaces, in the order of their first processes.
    private(set) var namespaces: [UInt64] = []
    /// The processes with an inaccessible mount namespace.
    private(set) var hidden: [HiddenProcess] = []

    /// - Throws: `LinuxSystemError` if /proc cannot be read.
    init(proc: FilePath) throws(LinuxSystemError) {
        let own = try? ProcessDirectory.inode(inLink: readSymbolicLink(proc.appending("self/ns/mnt")).string)
        // Threads of quiesce are in other namespaces only to read tables, or to make private mounts.
        let me = (try? readSymbolicLink(proc.appending("self"))).flatMap { pid_t($0.string) }
        let processes: [pid_t]
        do throws(Errno) {
            processes = try ProcessTable(proc).processIDs()
        } catch {
            throw .mountTable(proc, "cannot be listed", error)
        }
        for process in processes where process != me { scan(process, own: own, proc) }
    }

    private mutating func scan(_ process: pid_t, own: UInt64?, _ proc: FilePath) {
        var failure: Errno?
        // Nearly all threads are in the same namespace as the thread before.
        var last: UInt64?
        do throws(Errno) {
            try ThreadNamespaces.forEach(of: process, proc: proc) { thread, namespace in
                switch namespace {
                case .success(let inode):
                    guard inode != own, inode != last else { return }
                    last = inode
                    add(Member(process: process, thread: thread), to: inode, proc)
                case .failure(let error):
                    if error.isRefusal { failure = error }
                }
            }
        } catch {
            failure = error
        }
        if let failure, failure.isRefusal { hidden.append(HiddenProcess(processID: process, error: failure)) }
    }

    private mutating func add(_ member: Member, to inode: UInt64, _ proc: FilePath) {
        if members[inode] == nil { namespaces.append(inode) }
        members[inode, default: Members()].add(member, proc)
    }

    /// The link's text is the thread's root as a path in the thread's own namespace (fs/d_path.c).
    fileprivate static func isAtNamespaceRoot(_ member: Member, _ proc: FilePath) -> Bool {
        (try? readSymbolicLink(proc.appending("\(member.process)/task/\(member.thread)/root"))) == "/"
    }
}

extension Errno {
    /// Any other error means an ended or ending thread: a zombie is in no namespace any more.
    fileprivate var isRefusal: Bool { self == .permissionDenied || self == .notPermitted }
}

extension NamespaceScan.Members {
    fileprivate mutating func add(_ member: NamespaceScan.Member, _ proc: FilePath) {
        let limit = NamespaceScan.membersPerNamespace
        guard atRoot.count < limit, atRoot.last?.process != member.process else { return }
        if NamespaceScan.isAtNamespaceRoot(member, proc) {
            atRoot.append(member)
        } else if elsewhere.count < limit, elsewhere.last?.process != member.process {
            elsewhere.append(member)
        }
    }
}
