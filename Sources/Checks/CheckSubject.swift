import Configuration
import FreezeCore
import LinuxSystem
import SystemPackage

/// The subject of a check: a machine and its configuration.
public struct CheckSubject: Sendable {
    /// What planning came to.
    public enum Planning: Sendable {
        case plan(FreezePlan)
        case failure(any ActionableError)
    }

    /// What the service answers.
    public enum Service: Sendable {
        /// It does not run yet, as it should be: what a running one would show is left out.
        case notStarted
        /// Nothing listens on the control socket, or does not take connections.
        case unreachable
        /// It takes connections, and does not answer.
        case silent(problem: String)
        case running(channels: [DaemonStatus.Channel], isDryRun: Bool)
    }

    public let configuration: Configuration
    /// The file it was loaded from; nil for the default one, which may be absent.
    public let configurationFile: FilePath?
    public let planning: Planning
    /// The mount table, to find what lies on a filesystem that would be frozen.
    public let mounts: [MountEntry]
    /// The program that asks: the freezer is looked for from its directory.
    public let executable: FilePath
    public let service: Service
    /// The directory with processes and settings of the kernel.
    public let proc: FilePath
    /// The directory with devices.
    public let sys: FilePath
    public let auditConfiguration: FilePath
    /// Where programs and settings of other packages are.
    public let root: FilePath
    public let host: HostPlatform

    public init(
        configuration: Configuration, configurationFile: FilePath?, planning: Planning, mounts: [MountEntry],
        executable: FilePath, service: Service, proc: FilePath = "/proc", sys: FilePath = "/sys",
        auditConfiguration: FilePath = "/etc/audit/auditd.conf", root: FilePath = "/"
    ) {
        self.configuration = configuration
        self.configurationFile = configurationFile
        self.planning = planning
        self.mounts = mounts
        self.executable = executable
        self.service = service
        self.proc = proc
        self.sys = sys
        self.auditConfiguration = auditConfiguration
        self.root = root
        host = HostPlatform(sysfs: sys)
    }

    /// The directories with the services of the host.
    var serviceProbe: ServiceProbe {
        ServiceProbe(sysfs: sys, proc: proc, devices: root.appending("dev"), root: root)
    }

    /// The superblocks that would be frozen. None if there is no plan.
    var frozenDevices: Set<DeviceNumber> {
        guard case .plan(let plan) = planning else { return [] }
        return Set(plan.filesystems(.freeze).map(\.device))
    }

    /// The mount that a path lies on, by name; no path is looked up.
    func mount(holding path: FilePath) -> MountEntry? {
        // Of mounts on one another the last one is on top.
        let candidates = mounts.enumerated().filter { path.starts(with: $0.element.mountPoint) }
        return candidates.max {
            ($0.element.mountPoint.components.count, $0.offset) < (
                $1.element.mountPoint.components.count, $1.offset
            )
        }?.element
    }
}
