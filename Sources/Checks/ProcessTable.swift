import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// The processes that a /proc shows. One that ends meanwhile has nothing open and no name.
struct ProcessTable {
    private let proc: FilePath

    init(_ proc: FilePath) {
        self.proc = proc
    }

    /// By process id.
    var processes: [Process] {
        ((try? directoryEntries(proc)) ?? []).compactMap { pid_t($0.string) }.sorted()
            .map { Process(processID: $0, directory: proc.appending("\($0)")) }
    }

    func process(_ processID: pid_t) -> Process {
        Process(processID: processID, directory: proc.appending("\(processID)"))
    }

    struct Process: CustomStringConvertible {
        let processID: pid_t
        let directory: FilePath

        /// The name ps shows; anybody may name a process as he likes.
        var name: String {
            let bytes = (try? readWholeFile(directory.appending("comm"))) ?? []
            return escapedControlCharacters(
                String(decoding: bytes.filter { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
        }

        /// The words it was started with, or those it shows since; empty if the process is gone.
        var commandLine: [String] {
            let bytes = (try? readWholeFile(directory.appending("cmdline"))) ?? []
            return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        }

        /// Nil if the process is gone.
        var realUser: uid_t? {
            let bytes = (try? readWholeFile(directory.appending("status"))) ?? []
            let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("Uid:") }
            return line?.split(separator: "\t").dropFirst().first.flatMap { uid_t($0) }
        }

        /// As the kernel names it; nil if the process is gone, or may not be looked at.
        var pidNamespace: FilePath? { try? readSymbolicLink(directory.appending("ns").appending("pid")) }

        /// Whether the program gets its owner's rights, whoever starts it.
        var isSetuid: Bool {
            var status = stat()
            return directory.appending("exe").withPlatformString { stat($0, &status) } == 0
                && status.st_mode & S_ISUID != 0
        }

        /// Whether a container manager has put the process into a cgroup of its own.
        var isInContainer: Bool {
            let bytes = (try? readWholeFile(directory.appending("cgroup"))) ?? []
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n").contains(
                where: Self.isOfContainer)
        }

        /// The cgroups of containers, as hooks/lib/own-servers has them: Docker, LXC, libvirt, systemd-nspawn, Kubernetes;
        /// of any other OCI runtime the id of the container, 64 hexadecimal digits. A unit named docker-redis.service is no
        /// container.
        ///
        /// - Parameter line: Of /proc/PID/cgroup: `HIERARCHY:CONTROLLERS:PATH`.
        static func isOfContainer(_ line: Substring) -> Bool {
            let managers = /\/(docker|lxc|machine|machine\.slice)\/|\/lxc\.payload[.\/]|[:\/-]kubepods([.\/-]|$)/
            let id = /[:\/-][0-9a-f]{64}([.\/]|$)/
            return line.contains(managers) || line.contains(id)
        }

        var description: String { "\(name) (process \(processID))" }

        /// The descriptors that are open on this. Only the links are read, so that nothing can hang.
        func descriptors(on target: FilePath) -> [FilePath.Component] {
            let links = directory.appending("fd")
            return ((try? directoryEntries(links)) ?? []).filter {
                (try? readSymbolicLink(links.appending($0))) == target
            }
        }

        func descriptorInformation(_ number: FilePath.Component) -> String {
            let bytes =
                (try? readWholeFile(directory.appending("fdinfo").appending(number), limit: 16 << 20)) ?? []
            return String(decoding: bytes, as: UTF8.self)
        }
    }
}
