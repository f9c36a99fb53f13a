import Glibc
import LinuxCalls
import SystemPackage

/// The distribution's qemu-ga: on the port of the guest agent, or behind quiesced.
public struct StockAgent: Sendable {
    public static let unit = "qemu-guest-agent.service"
    public static let processName = "qemu-ga"
    /// The paths of the daemon, below the root.
    public static let program: FilePath = "usr/sbin/qemu-ga"
    public static let relayService = "quiesce-qemu-ga.service"
    public static let relaySocketUnit = "quiesce-qemu-ga.socket"

    private let root: FilePath
    /// The socket of qemu-ga behind quiesced, on a tmpfs.
    public let relaySocket: FilePath

    /// - Parameter relaySocket: Below the root, or absolute.
    public init(root: FilePath = "/", relaySocket: FilePath = "run/quiesce-qemu-ga.sock") {
        self.root = root
        self.relaySocket = root.pushing(relaySocket)
    }

    public var isInstalled: Bool {
        // The second path is that of RHEL and Fedora.
        [Self.program, "usr/bin/qemu-ga"].contains { access(root.pushing($0).string, X_OK) == 0 }
    }
    public var hasRelaySocket: Bool { access(relaySocket.string, F_OK) == 0 }

    /// Whether quiesced leaves the port to qemu-ga with `auto`: qemu-ga is neither displaced nor behind quiesced. Reads
    /// paths: do not call in the window (P7).
    public var keepsPort: Bool { isInstalled && !isDisplaced && !hasRelaySocket }

    /// The admin's units and drop-ins. A symbolic link to /dev/null masks a file of the same name elsewhere.
    private var units: FilePath { root.pushing("etc/systemd/system") }

    /// Whether the drop-in of quiesce keeps the unit of qemu-ga from starting: the unit is stopped, and needs no mask.
    public var isDisplaced: Bool {
        // The condition of the drop-in.
        let link = units.appending("multi-user.target.wants/quiesced.service")
        if isDropInMasked || access(link.string, F_OK) != 0 { return false }
        return ["usr/lib/systemd/system", "usr/local/lib/systemd/system"].contains { installed in
            access(root.pushing(installed).pushing(Self.dropIn).string, F_OK) == 0
        }
    }

    private static let dropIn = FilePath("\(unit).d/quiesce.conf")

    /// Whether an admin gave the port to the stock agent, as docs/kvm.md describes.
    public var isDropInMasked: Bool { Self.isMask(units.pushing(Self.dropIn)) }

    /// The step that gives a port left to qemu-ga to quiesced.
    public var switchStep: String {
        isDropInMasked
            ? "Return the port to quiesced, as docs/kvm.md describes"
            : "Run `\(stopCommand)`, but not during a backup, and `systemctl start \(Self.relaySocketUnit)`"
    }

    /// The step that frees the port, as an imperative.
    ///
    /// - Parameter holder: The holder of the port; nil if unknown.
    public func freeingStep(_ holder: DeviceHolder?) -> String {
        if let holder, holder.isForQuiesced { return "Run `systemctl restart quiesced`" }
        // A process started by hand can belong to the service of sshd.
        guard let holder, holder.service != Self.unit else {
            return "Run `\(stopCommand)`, but not during a backup"
        }
        return "Stop process \(holder.processID), and prevent its restart"
    }

    private var stopCommand: String {
        isDisplaced ? "systemctl stop \(Self.unit)" : "systemctl mask --now \(Self.unit)"
    }

    public var isRelaySocketMasked: Bool { Self.isMask(units.appending(Self.relaySocketUnit)) }

    /// The settings of qemu-ga, which apply behind quiesced, too.
    public var settings: FilePath { root.pushing("etc/qemu/qemu-ga.conf") }

    /// The admin's changes to the unit of qemu-ga, which do not apply to the unit behind quiesced. None if the admin has
    /// changed the unit behind quiesced, too.
    public var ignoredSettings: [FilePath] {
        guard Self.dropIns(units.appending("\(Self.relayService).d")).isEmpty else { return [] }
        let unit = units.appending(Self.unit)
        let isReplaced = access(unit.string, F_OK) == 0 && !Self.isMask(unit)
        let options = root.pushing("etc/sysconfig/qemu-ga")
        let dropIns = Self.dropIns(units.appending("\(Self.unit).d")).filter(Self.hasOtherSettings)
        return dropIns + (isReplaced ? [unit] : []) + (access(options.string, F_OK) == 0 ? [options] : [])
    }

    private static func dropIns(_ directory: FilePath) -> [FilePath] {
        let entries = (try? directoryEntries(directory)) ?? []
        return entries.filter { $0.extension == "conf" }.map { directory.appending($0) }
            .filter { !isMask($0) }.sorted { $0.string < $1.string }
    }

    /// Whether a drop-in has settings besides ExecStart=, whose arguments apply (packaging/quiesce-qemu-ga).
    private static func hasOtherSettings(_ dropIn: FilePath) -> Bool {
        let text = String(decoding: (try? readWholeFile(dropIn)) ?? [], as: UTF8.self)
        return text.split(whereSeparator: \.isNewline).contains { line in
            let line = line.drop { $0 == " " || $0 == "\t" }
            return line.first.map { !"#;[".contains($0) } == true && !line.hasPrefix("ExecStart=")
        }
    }

    private static func isMask(_ path: FilePath) -> Bool { (try? readSymbolicLink(path)) == "/dev/null" }
}

extension DeviceHolder {
    /// Whether the process has the port open for quiesced. systemd keeps the port open over a restart of quiesced.
    public var isForQuiesced: Bool { name == "quiesced" || processID == 1 }
}
