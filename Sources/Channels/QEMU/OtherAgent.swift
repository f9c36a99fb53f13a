import FreezeCore

/// A request for the distribution's qemu-ga.
struct AgentRelayRequest: Hashable {
    /// The `id` of the request on the connection to qemu-ga.
    let tag: String
    let command: String
    /// In the words of the client.
    let arguments: ArraySlice<UInt8>?
    /// False for a command without a reply to success, such as `guest-shutdown`.
    let repliesToSuccess: Bool

    var line: [UInt8] {
        var line = Array("{\"execute\": \(AgentValue.encoded(command))".utf8)
        if let arguments { line += Array(", \"arguments\": ".utf8) + arguments }
        return line + Array(", \"id\": \"\(tag)\"}\n".utf8)
    }
}

/// The limit of qemu-ga for a command. Later requests wait as long, a freeze too.
enum AgentDeadline {
    static let usual = Duration.seconds(8)
    /// Clients poll `guest-info`.
    static let info = Duration.seconds(2)

    static func of(_ command: String) -> Duration {
        switch command {
        // Discards whole filesystems.
        case "guest-fstrim": .seconds(120)
        // Replies after the end of the sleep.
        case "guest-suspend-disk", "guest-suspend-ram", "guest-suspend-hybrid": .seconds(300)
        default: usual
        }
    }
}

/// The version and the commands of the distribution's qemu-ga, as far as known.
struct OtherAgent {
    var isInstalled = false
    private var version: String?
    /// The entries of `guest-info`.
    private var commands: [[AgentMember]] = []

    /// Reads a reply to `guest-info`. An error is ignored.
    mutating func learn(_ line: [UInt8]) {
        var reader = AgentRequestReader()
        guard case .success(.object(let reply)) = reader.read(line).first,
            case .object(let info) = reply["return"], case .list(let list) = info["supported_commands"]
        else { return }
        if case .string(let text) = info["version"] { version = text }
        commands = list.compactMap { command in
            guard case .object(let members) = command, case .string(let name) = members["name"],
                AgentRequest.Command(rawValue: name) == nil
            else { return nil }
            return members
        }
    }

    /// Before the first `guest-info`, the commands of QEMU's own agent are known.
    func repliesToSuccess(_ name: String) -> Bool {
        if let command = commands.first(where: { $0["name"] == .string(name) }) {
            return command["success-response"] != .bool(false)
        }
        return !["guest-shutdown", "guest-suspend-disk", "guest-suspend-ram", "guest-suspend-hybrid"].contains(
            name)
    }

    /// The result of `guest-info`: the commands of quiesce, then the commands of qemu-ga.
    func info(version ownVersion: String, isFrozen: Bool) -> String {
        let own = AgentRequest.Command.allCases.map { command in
            Self.entry(
                command.rawValue, isEnabled: !isFrozen || command.isAllowedWhileFrozen, repliesToSuccess: true)
        }
        let others = (isInstalled ? commands : []).compactMap { members -> AgentValue? in
            guard case .string(let name) = members["name"] else { return nil }
            return Self.entry(
                name, isEnabled: !isFrozen && members["enabled"] != .bool(false),
                repliesToSuccess: members["success-response"] != .bool(false))
        }
        let version = isInstalled ? self.version : nil
        return AgentValue.object([
            AgentMember("version", .string(version ?? ownVersion)),
            AgentMember("supported_commands", .list(own + others)),
        ]).encoded
    }

    private static func entry(_ name: String, isEnabled: Bool, repliesToSuccess: Bool) -> AgentValue {
        .object([
            AgentMember("enabled", .bool(isEnabled)), AgentMember("name", .string(name)),
            AgentMember("success-response", .bool(repliesToSuccess)),
        ])
    }
}

extension AgentRequest.Command {
    fileprivate var isAllowedWhileFrozen: Bool { self != .freeze && self != .freezeList }
}
