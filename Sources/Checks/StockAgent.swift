import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// The distribution's qemu-ga: on the port of the guest agent, or behind quiesced.
struct StockAgent {
    static let unit = "qemu-guest-agent.service"
    static let processName = "qemu-ga"
    /// The paths of the daemon, below the root.
    static let program: FilePath = "usr/sbin/qemu-ga"
    static let relaySocket: FilePath = "run/quiesce-qemu-ga.sock"
    static let relayService = "quiesce-qemu-ga.service"
    static let relaySocketUnit = "quiesce-qemu-ga.socket"

    private let root: FilePath

    init(root: FilePath) {
        self.root = root
    }

    var relaySocket: FilePath { root.pushing(Self.relaySocket) }
    var isInstalled: Bool { access(root.pushing(Self.program).string, X_OK) == 0 }
    var hasRelaySocket: Bool { access(relaySocket.string, F_OK) == 0 }

    /// Where the admin's units and drop-ins are. A symbolic link to /dev/null masks a file of the same name elsewhere.
    private var units: FilePath { root.pushing("etc/systemd/system") }

    /// Whether the drop-in of quiesce keeps the unit of qemu-ga from starting: the unit is stopped, and needs no mask.
    var isDisplaced: Bool {
        // The drop-in has the condition.
        let link = units.appending("multi-user.target.wants/quiesced.service")
        if isDropInMasked || access(link.string, F_OK) != 0 { return false }
        return ["usr/lib/systemd/system", "usr/local/lib/systemd/system"].contains { installed in
            access(root.pushing(installed).pushing(Self.dropIn).string, F_OK) == 0
        }
    }

    private static let dropIn = FilePath("\(unit).d/quiesce.conf")

    /// Whether an admin gave the port to the stock agent, as docs/kvm.md describes.
    var isDropInMasked: Bool { Self.isMask(units.pushing(Self.dropIn)) }

    /// How quiesced gets a port that is left to qemu-ga.
    var switchStep: String {
        isDropInMasked
            ? "Return the port to quiesced, as docs/kvm.md describes"
            : "Run `\(stopCommand)`, but not during a backup, and `systemctl start \(Self.relaySocketUnit)`"
    }

    /// How to free the port.
    var stopCommand: String { isDisplaced ? "systemctl stop \(Self.unit)" : "systemctl mask --now \(Self.unit)" }

    var isRelaySocketMasked: Bool { Self.isMask(units.appending(Self.relaySocketUnit)) }

    /// The settings of qemu-ga, which apply behind quiesced, too.
    var settings: FilePath { root.pushing("etc/qemu/qemu-ga.conf") }

    /// The admin's changes to the unit of qemu-ga, which do not apply to the unit behind quiesced. None if the admin has
    /// changed the unit behind quiesced, too.
    var ignoredSettings: [FilePath] {
        guard Self.dropIns(units.appending("\(Self.relayService).d")).isEmpty else { return [] }
        let unit = units.appending(Self.unit)
        let isReplaced = access(unit.string, F_OK) == 0 && !Self.isMask(unit)
        let options = root.pushing("etc/sysconfig/qemu-ga")
        return Self.dropIns(units.appending("\(Self.unit).d")) + (isReplaced ? [unit] : [])
            + (access(options.string, F_OK) == 0 ? [options] : [])
    }

    private static func dropIns(_ directory: FilePath) -> [FilePath] {
        let entries = (try? directoryEntries(directory)) ?? []
        return entries.filter { $0.extension == "conf" }.map { directory.appending($0) }
            .filter { !isMask($0) }.sorted { $0.string < $1.string }
    }

    private static func isMask(_ path: FilePath) -> Bool { (try? readSymbolicLink(path)) == "/dev/null" }
}
