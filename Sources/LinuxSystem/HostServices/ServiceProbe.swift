import Glibc
import LinuxCalls
import SystemPackage

/// The directories in which services of the host show. Parameters, so that tests can build machines out of
/// directories.
public struct ServiceProbe: Sendable {
    let sysfs: FilePath
    let proc: FilePath
    /// Where device nodes are.
    let devices: FilePath
    /// Where the kernel's modules and the units of systemd are.
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

    /// The entries of a directory of sysfs, by name; none without the directory.
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

    /// Where systemd looks for units (systemd.unit(5)), the first directory first.
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
