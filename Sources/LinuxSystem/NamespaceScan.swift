import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// Which processes are in which mount namespace, but for our own. Reads one link for each process, and opens nothing.
struct NamespaceScan: Sendable {
    /// Enough to find one that lives and sees all of its namespace.
    static let processesPerNamespace = 8

    /// Processes by the namespace's inode number, the oldest first.
    private(set) var processes: [UInt64: [pid_t]] = [:]
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
                if self.processes[inode] == nil { namespaces.append(inode) }
                if self.processes[inode, default: []].count < Self.processesPerNamespace {
                    self.processes[inode, default: []].append(process)
                }
            case .failure(.permissionDenied), .failure(.notPermitted):
                hiddenCount += 1
            // It has ended meanwhile, or is about to: a zombie is in no namespace any more.
            case .failure:
                break
            }
        }
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
