import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// A process that has a device open.
public struct DeviceHolder: Hashable, Sendable, CustomStringConvertible {
    public let processID: pid_t
    /// The name ps shows (proc_pid_comm(5), at most 15 bytes), control characters escaped.
    public let name: String
    /// The systemd service it belongs to, if to one.
    public let service: String?

    public init(processID: pid_t, name: String, service: String?) {
        self.processID = processID
        self.name = name
        self.service = service
    }

    public var description: String {
        let process = "\(name) (process \(processID))"
        return service.map { "\(process) of \($0)" } ?? process
    }

    /// Every process with a descriptor on the device, by process id. Opens nothing on a filesystem. Does not see a
    /// process that knows the device by another path, in a mount namespace of its own; nor, without CAP_SYS_PTRACE,
    /// other users' processes.
    public static func holders(of device: FilePath, in table: ProcessTable = ProcessTable()) -> [DeviceHolder] {
        let target = resolved(device)
        return table.processes.filter { !$0.descriptors(on: target).isEmpty }.map(DeviceHolder.init)
    }

    private init(_ process: ProcessTable.Process) {
        self.init(processID: process.processID, name: process.name, service: process.service)
    }

    /// The service in a cgroup listing (cgroups(7)): the innermost path component that ends in `.service`.
    static func service(in listing: String) -> String? {
        listing.split(separator: "\n")
            .flatMap { $0.split(separator: "/") }
            .last { $0.hasSuffix(".service") && !$0.contains(":") }
            .map { escapedControlCharacters($0) }
    }

    private static func resolved(_ path: FilePath) -> FilePath {
        guard let text = realpath(path.string, nil) else { return path }
        defer { free(text) }
        return FilePath(platformString: text)
    }
}

extension ProcessTable.Process {
    /// The systemd service of the process; nil without a service, or if the process is gone.
    public var service: String? {
        let groups = (try? readWholeFile(directory.appending("cgroup"))) ?? []
        return DeviceHolder.service(in: String(decoding: groups, as: UTF8.self))
    }
}
