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

    /// Every process with a descriptor on the device, by process id.
    ///
    /// Only the links in `/proc/PID/fd` are read, nothing is opened through them, so that no dead network
    /// filesystem can hang it. Without CAP_SYS_PTRACE other users' processes are not seen; nor is a process that
    /// knows the device by another path, in a mount namespace of its own.
    public static func holders(of device: FilePath) -> [DeviceHolder] {
        let target = resolved(device)
        return entries(of: "/proc").compactMap { pid_t($0.string) }.sorted()
            .filter { holds(process: $0, target: target) }
            .map(DeviceHolder.init(processID:))
    }

    private init(processID: pid_t) {
        let name = (try? readWholeFile(FilePath("/proc/\(processID)/comm"))) ?? []
        let groups = (try? readWholeFile(FilePath("/proc/\(processID)/cgroup"))) ?? []
        self.init(
            processID: processID,
            name: Self.printable(String(decoding: name, as: UTF8.self)),
            service: Self.service(in: String(decoding: groups, as: UTF8.self)))
    }

    /// The service in a cgroup listing (cgroups(7)): the innermost path component that ends in `.service`.
    static func service(in listing: String) -> String? {
        listing.split(separator: "\n")
            .flatMap { $0.split(separator: "/") }
            .last { $0.hasSuffix(".service") && !$0.contains(":") }
            .map { printable(String($0)) }
    }

    /// A process or descriptor that has gone meanwhile holds nothing.
    private static func holds(process: pid_t, target: FilePath) -> Bool {
        let directory = FilePath("/proc/\(process)/fd")
        return entries(of: directory).contains { (try? readSymbolicLink(directory.appending($0))) == target }
    }

    private static func entries(of directory: FilePath) -> [FilePath.Component] {
        (try? directoryEntries(directory)) ?? []
    }

    private static func resolved(_ path: FilePath) -> FilePath {
        guard let text = realpath(path.string, nil) else { return path }
        defer { free(text) }
        return FilePath(platformString: text)
    }

    /// Anybody may name a process: nothing of it must reach a terminal as a control sequence.
    private static func printable(_ text: String) -> String {
        var line = text[...]
        while line.last == "\n" { line.removeLast() }
        return line.unicodeScalars.map { scalar in
            scalar.properties.generalCategory == .control
                ? "\\u{" + String(scalar.value, radix: 16) + "}" : String(scalar)
        }.joined()
    }
}
