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
        return entries(of: "/proc").compactMap { pid_t($0) }.sorted()
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

    private static func holds(process: pid_t, target: String) -> Bool {
        let directory = "/proc/\(process)/fd"
        return entries(of: directory).contains { linkTarget("\(directory)/\($0)") == target }
    }

    private static func resolved(_ path: FilePath) -> String {
        guard let text = realpath(path.string, nil) else { return path.string }
        defer { free(text) }
        return String(cString: text)
    }

    private static func linkTarget(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &buffer, buffer.count)
        // A process or descriptor that has gone meanwhile holds nothing.
        return count < 0 ? nil : String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private static func entries(of directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
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
