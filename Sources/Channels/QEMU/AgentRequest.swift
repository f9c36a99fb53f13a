/// A command of a client, with the checks and error texts of qapi/qmp-dispatch.c.
struct AgentRequest: Hashable, Sendable {
    /// The commands answered by quiesce.
    enum Command: String, Sendable, CaseIterable {
        case sync = "guest-sync"
        case delimitedSync = "guest-sync-delimited"
        case ping = "guest-ping"
        case info = "guest-info"
        case status = "guest-fsfreeze-status"
        case freeze = "guest-fsfreeze-freeze"
        case freezeList = "guest-fsfreeze-freeze-list"
        case thaw = "guest-fsfreeze-thaw"
    }

    let name: String
    let arguments: [AgentMember]
    /// The object of the arguments in the words of the client; nil without arguments.
    let argumentsText: ArraySlice<UInt8>?

    /// Nil for a command of another agent.
    var command: Command? { Command(rawValue: name) }

    init(_ value: AgentValue) throws(AgentError) {
        guard case .object(let members) = value else {
            throw AgentError(.generic, "QMP input must be a JSON object")
        }
        var name: String?
        var arguments: AgentMember?
        for member in members {
            switch (member.name, member.value) {
            case ("execute", .string(let text)): name = text
            case ("execute", _): throw AgentError(.generic, "QMP input member 'execute' must be a string")
            case ("arguments", .object): arguments = member
            case ("arguments", _): throw AgentError(.generic, "QMP input member 'arguments' must be an object")
            case ("id", _): break
            case (let other, _): throw AgentError(.generic, "QMP input member '\(other)' is unexpected")
            }
        }
        guard let name else { throw AgentError(.generic, "QMP input lacks member 'execute'") }
        self.name = name
        if case .object(let members) = arguments?.value { self.arguments = members } else { self.arguments = [] }
        argumentsText = arguments?.text
    }

    /// The member `id` of a request, for the reply; nil without an `id`.
    static func id(of value: AgentValue) -> AgentValue? {
        guard case .object(let members) = value else { return nil }
        return members["id"]
    }

    // MARK: Arguments

    /// The argument of `guest-sync` and `guest-sync-delimited`.
    func syncID() throws(AgentError) -> Int64 {
        guard let value = arguments["id"] else { throw AgentError(.generic, "Parameter 'id' is missing") }
        guard case .number(let text) = value, let id = Int64(text) else { throw Self.wrongType("id", "integer") }
        try expectArguments(["id"])
        return id
    }

    /// The argument of `guest-fsfreeze-freeze-list`; nil for all filesystems.
    func mountPoints() throws(AgentError) -> [String]? {
        guard let value = arguments["mountpoints"] else {
            try expectArguments([])
            return nil
        }
        guard case .list(let elements) = value else { throw Self.wrongType("mountpoints", "array") }
        var paths: [String] = []
        for (index, element) in elements.enumerated() {
            guard case .string(let path) = element else { throw Self.wrongType("mountpoints[\(index)]", "string") }
            paths.append(path)
        }
        try expectArguments(["mountpoints"])
        return paths
    }

    func expectArguments(_ names: Set<String>) throws(AgentError) {
        if let other = arguments.first(where: { !names.contains($0.name) }) {
            throw AgentError(.generic, "Parameter '\(other.name)' is unexpected")
        }
    }

    private static func wrongType(_ name: String, _ expected: String) -> AgentError {
        AgentError(.generic, "Invalid parameter type for '\(name)', expected: \(expected)")
    }
}
