import Configuration
import FreezeCore
import LinuxCalls
import LinuxSystem
import SystemPackage

/// Commands of the host that have nothing to do with freezing reach qemu-ga.
///
/// The check sends qemu-ga no command: qemu-ga serves a single client, which is quiesced, and a connection would start
/// qemu-ga.
enum RelayCheck {
    static let name = "relay"

    /// What the files of the machine show.
    struct Relay {
        var socket: FilePath
        var isInstalled = true
        var hasSocket = true
        /// Whether the admin has masked the unit of the socket.
        var isMasked = false
        /// Whether a process listens on the socket; nil if unknown.
        var isListening: Bool? = true
        /// qemu-ga behind quiesced; nil before the first command.
        var process: String?
        var settings: FilePath
        var ignoredSettings: [FilePath] = []
    }

    static func findings(_ subject: CheckSubject) -> [Finding] {
        let port = GuestAgentPort(subject)
        guard port.use != .off, port.isThere else { return [] }
        // AgentPortCheck describes a port that is left to qemu-ga.
        if port.isLeft, !port.holders(subject).contains(where: \.isForQuiesced) { return [] }
        let agent = StockAgent(root: subject.root)
        return findings(
            Relay(
                socket: agent.relaySocket, isInstalled: agent.isInstalled, hasSocket: agent.hasRelaySocket,
                isMasked: agent.isRelaySocketMasked,
                isListening: isListening(on: agent.relaySocket, proc: subject.proc),
                process: process(ProcessTable(subject.proc)), settings: agent.settings,
                ignoredSettings: agent.ignoredSettings))
    }

    static func findings(_ relay: Relay) -> [Finding] {
        guard relay.isInstalled || relay.hasSocket else {
            return [
                Finding(
                    name, .ok,
                    """
                    qemu-ga is not installed: the host can freeze, thaw and ping, and the other commands (such as \
                    guest-shutdown, guest-exec, guest-get-fsinfo) are not found. `apt-get install qemu-guest-agent` \
                    adds them.
                    """)
            ]
        }
        guard relay.isInstalled else {
            if relay.isListening == false {
                let socket = relay.socket.escaped
                return [
                    Finding(
                        name, .warning,
                        "qemu-ga is not installed, and \(socket) is left over: commands for qemu-ga fail.",
                        nextStep: "Run `rm \(socket)`.")
                ]
            }
            return [
                Finding(
                    name, .warning,
                    "qemu-ga is not installed, and systemd listens for qemu-ga: commands for qemu-ga time out.",
                    nextStep: """
                        Run `apt-get install qemu-guest-agent`; or `systemctl stop \(StockAgent.relaySocketUnit)` and \
                        `systemctl restart quiesced`.
                        """)
            ]
        }
        return [socketFinding(relay)] + settingsFindings(relay)
    }

    private static func socketFinding(_ relay: Relay) -> Finding {
        guard relay.hasSocket else {
            return Finding(
                name, .warning,
                "There is no \(relay.socket.escaped), so the commands of the installed qemu-ga are not found.",
                nextStep: socketCommand("start", relay))
        }
        guard relay.isListening != false else {
            return Finding(
                name, .warning,
                "No process listens on \(relay.socket.escaped), so the commands of qemu-ga fail.",
                nextStep: socketCommand("restart", relay))
        }
        return relay.process.map { Finding(name, .ok, "\($0) runs behind quiesced.") }
            ?? Finding(name, .ok, "systemd starts qemu-ga at the first command for qemu-ga.")
    }

    private static func socketCommand(_ verb: String, _ relay: Relay) -> String {
        let unit = StockAgent.relaySocketUnit
        return relay.isMasked
            ? "Run `systemctl unmask \(unit)` and `systemctl \(verb) \(unit)`."
            : "Run `systemctl \(verb) \(unit)`."
    }

    private static func settingsFindings(_ relay: Relay) -> [Finding] {
        if relay.ignoredSettings.isEmpty { return [] }
        let files = relay.ignoredSettings.map(\.escaped).joined(separator: ", ")
        return [
            Finding(
                name, .warning, "\(files): only the arguments in ExecStart= apply to qemu-ga behind quiesced.",
                nextStep: """
                    Block commands in \(relay.settings.escaped), and move other settings to a drop-in: `systemctl edit \
                    \(StockAgent.relayService)`. With a drop-in there, the warning ends.
                    """)
        ]
    }

    private static func process(_ table: ProcessTable) -> String? {
        table.processes.first {
            $0.name == StockAgent.processName && $0.service == StockAgent.relayService
        }?.description
    }

    /// Looks for the socket in proc_net_unix(5).
    private static func isListening(on socket: FilePath, proc: FilePath) -> Bool? {
        guard let bytes = try? readWholeFile(proc.appending("net/unix"), limit: 16 << 20) else { return nil }
        let acceptsConnections: UInt32 = 1 << 16
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").contains { line in
            let fields = line.split(separator: " ", maxSplits: 7)
            return fields.count == 8 && fields[7] == socket.string[...]
                && UInt32(fields[3], radix: 16).map { $0 & acceptsConnections != 0 } == true
        }
    }
}
