import Glibc
import LinuxCalls
import SystemPackage

/// The user, program and container of a process.
extension ProcessTable.Process {
    /// The arguments of the program, or the title that the program shows since; empty if the process is gone.
    var commandLine: [String] {
        let bytes = (try? readWholeFile(directory.appending("cmdline"))) ?? []
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Nil if the process is gone.
    var realUser: uid_t? { ProcessStatusFile(of: directory)["Uid"].first.flatMap { uid_t($0) } }

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
}
