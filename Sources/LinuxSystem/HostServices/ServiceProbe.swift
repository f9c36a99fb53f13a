import Glibc
import LinuxCalls
import SystemPackage

/// The directories with the services of the host. Tests use other directories as a machine.
public struct ServiceProbe: Sendable {
    let sysfs: FilePath
    let proc: FilePath
    /// The directory of device nodes.
    let devices: FilePath
    /// The root directory, for the kernel's modules and the units of systemd.
    let root: FilePath
    let processes: ProcessTable

    public init(
        sysfs: FilePath = "/sys", proc: FilePath = "/proc", devices: FilePath = "/dev", root: FilePath = "/"
    ) {
        self.sysfs = sysfs
        self.proc = proc
        self.devices = devices
        self.root = root
        processes = ProcessTable(proc)
    }

    func exists(_ path: FilePath) -> Bool { access(path.string, F_OK) == 0 }

    /// The entries of a directory of sysfs, sorted by name; empty without the directory.
    func entries(_ directory: FilePath) -> [FilePath] {
        let names = (try? directoryEntries(sysfs.pushing(directory))) ?? []
        return names.sorted { $0.string < $1.string }.map { sysfs.pushing(directory).appending($0) }
    }

    /// The name of the driver bound to a device of sysfs.
    func driver(of device: FilePath) -> String? {
        (try? readSymbolicLink(device.appending("driver")))?.lastComponent?.string
    }

    /// The clock of a PTP driver, such as `/dev/ptp0`.
    func clock(named names: [String]) -> FilePath? {
        entries("class/ptp").first { names.contains(SmallFile.text($0.appending("clock_name")) ?? "") }
            .flatMap(\.lastComponent).map { devices.appending($0) }
    }

    // MARK: Units

    /// The directories of units, in the order of precedence (systemd.unit(5)).
    private static let unitDirectories: [FilePath] = [
        "etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system",
        "lib/systemd/system",
    ]

    /// The first of the units that is installed, and whether the unit is masked.
    func installedUnit(_ units: [String]) -> (name: String, isMasked: Bool)? {
        for unit in units {
            for directory in Self.unitDirectories {
                let file = root.pushing(directory).appending(unit)
                if (try? readSymbolicLink(file)) == "/dev/null" { return (unit, true) }
                if exists(file) { return (unit, false) }
            }
        }
        return nil
    }
}
