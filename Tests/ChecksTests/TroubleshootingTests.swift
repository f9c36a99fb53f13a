import LinuxCalls
import SystemPackage
import Testing

/// docs/troubleshooting.md has every error of the programs, in the words that an admin searches for.
///
/// What the programs say is taken from the sources: every string literal of some words that could be a problem. What is
/// none is exempt below, with the reason.
@Suite struct TroubleshootingTests {
    /// Files whose literals are no problems.
    private static let exemptFiles = [
        "Channels/QEMU/AgentParser.swift": "what is no JSON, in the words of QEMU",
        "Channels/QEMU/AgentReply.swift": "the notation of a reply",
        "Channels/QEMU/QEMUAgentRelay.swift": "a request",
        "Configuration/ParserGuard.swift": "what is no TOML, as the parser would say it",
        "ControlProtocol/ControlInterface.swift": "the interface: docs/control-socket.md",
        "FreezeCore/Plan/FreezePlan+Changes.swift": "follows \"the mount table changed\"",
        "FreezeCore/Publication/StateReport.swift": "why the state is not ok: docs/configuration.md",
        "FreezeCore/Storage/FilesystemKind.swift": "names of filesystems",
        "FreezeCore/Storage/Superblock.swift": "why a plan freezes, syncs or skips",
        "FreezeCore/Storage/MountNamespace.swift": "a name",
        "FreezeCore/Request/RequestState.swift": "states",
        "FreezeCore/Plan/FreezeOrder.swift": "how a plan is explained",
        "FreezeCore/Request/WriteHolder.swift": "part of an error: who is to blame, and the remedy",
        "History/HistoryTable.swift": "how requests are shown",
        "History/Timeline.swift": "how a request is shown",
        "History/Timeline+Sections.swift": "how a request is shown",
        "LinuxSystem/HostServices/HostServices.swift": "how services are shown",
        "LinuxSystem/HostServices/HyperVSocketPort.swift": "commands",
        "LinuxSystem/HostServices/IntegrationService+State.swift": "how a service is shown",
        "LinuxSystem/HostServices/VirtioService.swift": "how a service is shown",
        "Presentation/PlanTable.swift": "how a plan is shown",
        "Presentation/ReadableNumbers.swift": "how numbers are shown",
        "Systemd/ServiceStatus.swift": "how the state is shown",
        "Varlink/Server/VarlinkInterface.swift": "an interface",
        "quiescectl/Control/ManualFreeze.swift": "how success is shown",
        "quiescectl/Control/ProgressPrinter.swift": "how a request is shown",
        "quiescectl/Control/RequestSummary.swift": "how a request is shown",
        "quiescectl/Control/StatusText.swift": "how the state is shown",
        "quiescectl/Hooks/RehearsalText.swift": "how a rehearsal is shown",
        "quiescectl/ServicesCommand.swift": "how services are shown",
        "quiescectl/SimulateHostReport.swift": "how the simulated host's doings are shown",
    ]

    /// Single literals, in the form of `stem`.
    private static let exempt = [
        "everything was thawed": "part of an error",
        "the hooks were called for thaw": "part of an error",
        "the snapshot may be torn": "part of an error",
        "the request's window": "part of an error",
        "no reason is recorded": "stands for the reason in a record without one",
        "a date or time": "part of an error: a type",
        "an absolute path, or \"\" for none": "part of a remedy: a type",
        "a number from … to …": "part of a remedy: a type",
        "process … of user …": "who is meant",
        "the machine with the context id …": "who is meant",
        "a duration such as \"10s\" or \"2m\"": "part of a remedy: a type",
        "a list of strings": "part of a remedy: a type",
        "sections [[hooks.import]] with style and directory": "part of a remedy: a type",
        "sections [hooks.overrides.\"NAME\"] with timeout or on_failure": "part of a remedy: a type",
        "{ style = …, directory = … }": "a value",
        "sections [[filesystems.order]] with first and then": "part of a remedy: a type",
        "{ first = …, then = … }": "a value",
        "it has no script for freeze": "part of a reason: why a hook had no work",
        "and … more": "part of a reason: filesystems that were left out",
        "hooks enable …": "a command",
        "hooks disable …": "a command",
        "hooks new …": "a command",
        "systemctl stop …": "a command",
        "systemctl mask --now …": "a command",
        "1 filesystem selected": "what a request was for",
        "filesystems selected": "what a request was for",
        "is disabled: … is removed.": "success",
        "is enabled already, as ….": "success",
        "is enabled: … leads to ….": "success",
        "is not enabled.": "success",
        "is written, a template. Backups fail until you edit or remove it.": "success",
        "after … failed attempt…": "success",
        "hooks.directory must name a directory": "a remedy",
        "is right, and only root can change it.": "success",
        "its end is not known": "only if another program had reaped a child of this one",
        "its description does not name it": "only of an error in the program, when it starts",
        "its parameters cannot be written as JSON (…)": "only of an error in the program",
        "looking at the filesystems": "what takes long",
        "mounts of another namespace": "part of a finding",
        "named by the ledger": "why recovery opens a filesystem",
        "not a time": "part of an error: what is wrong with a line of the history",
        "not a duration": "the same",
        "not a path": "the same",
        "not a device number": "the same",
        "an unknown value": "the same",
        "an unknown error": "the same",
        "not registered: …": "a state; the reason is in the guide",
        "quiescectl simulate-host [<options>]": "usage",
        "registered with the Hyper-V host (version …)": "success",
        "registered, on a stand-in device": "a state",
        "record … is": "the beginning of an error",
        "record … and … more are": "the beginning of an error",
        "request … of …": "the beginning of a summary",
        "so the host cannot request a backup.": "part of a finding",
        "the answer to it is none": "only of an error in the program",
        "waiting for the hook": "what takes long",
        "waiting for the thaw": "what takes long",
        "would be frozen, in ….": "success",
    ]

    @Test func `every error is in the guide`() throws {
        let entries = try Self.entries()
        for message in try Self.messages() where Self.exempt[message.stem] == nil {
            guard Self.exemptFiles[message.file] == nil else { continue }
            #expect(
                entries.contains { message.stem.hasPrefix($0) },
                "docs/troubleshooting.md does not have what \(message.file) says: \(message.stem)")
        }
    }

    @Test func `the guide has no error that nothing says`() throws {
        let stems = try Self.sources().flatMap { $0.literals.map { stem($0.text) } }
        for entry in try Self.entries() {
            #expect(stems.contains { $0.hasPrefix(entry) }, "nothing says: \(entry)")
        }
    }

    @Test func `nothing is exempt without need`() throws {
        let messages = try Self.messages()
        for file in Self.exemptFiles.keys.sorted() {
            #expect(messages.contains { $0.file == file }, "\(file) has no message")
        }
        for text in Self.exempt.keys.sorted() {
            #expect(messages.contains { $0.stem == text }, "nothing says: \(text)")
        }
    }

    // MARK: The guide

    /// The first words of each error: headings in quotes, and the first cells of the tables of what "it says".
    private static func entries() throws -> [String] {
        var entries: [String] = []
        var isListing = false
        for line in try Repository.text("docs/troubleshooting.md").split(separator: "\n") {
            if line.hasPrefix("#"), line.hasSuffix("\""), let start = line.firstIndex(of: "\"") {
                entries.append(String(line[start...].dropFirst().dropLast()))
            }
            if isListing, line.hasPrefix("| "), let cell = line.split(separator: "|").first {
                entries.append(cell.trimmed)
            }
            isListing = line.hasPrefix("| it says |") || isListing && line.hasPrefix("|")
        }
        try #require(entries.count > 100, "the guide's form has changed")
        return entries.map { entry in
            // It may go on there.
            String(stem(entry).reversed().drop { "… ".contains($0) }.reversed())
        }
    }

    // MARK: The sources

    private struct Source {
        let file: String
        let literals: [SwiftLiteral]
    }

    private static func sources() throws -> [Source] {
        let root = Repository.root.appending("Sources")
        return try swiftFiles(in: root).map { path in
            let name = String(path.string.dropFirst(root.string.count + 1))
            let text = String(decoding: try readWholeFile(path), as: UTF8.self)
            return Source(file: name, literals: SwiftLiteral.all(in: text))
        }
    }

    private static func swiftFiles(in directory: FilePath) throws -> [FilePath] {
        try directoryEntries(directory).flatMap { entry in
            let path = directory.appending(entry)
            if entry.extension == "swift" { return [path] }
            return entry.extension == nil ? try swiftFiles(in: path) : []
        }
    }

    /// Every literal that could be a problem.
    private static func messages() throws -> [(file: String, stem: String)] {
        try sources().flatMap { source in
            source.literals.filter(\.couldBeProblem).map { (source.file, stem($0.text)) }
        }
    }
}

/// A message from its first words on: what stands before them is put in, such as the thing's name.
private func stem(_ text: String) -> String {
    let program = "quiescectl: "
    let rest = text.hasPrefix(program) ? text.dropFirst(program.count) : text[...]
    return String(rest.drop { " …:(),.".contains($0) })
}

extension SwiftLiteral {
    /// A problem is a clause: in ActionableError it begins with a small letter, unlike the remedy, which is a sentence.
    /// (One that begins with a name, which is put in, is left as it is.) Findings and notes are sentences, and told by
    /// where they are.
    fileprivate var couldBeProblem: Bool {
        let isNoProblem = [".ok,", ".info,", ".debug,", "subject:", "path:", "+", "StopPoint.reach("].contains {
            context.hasSuffix($0)
        }
        let stem = stem(text)
        guard !isNoProblem, text.split(separator: " ").count > 2, stem.words > 1 else { return false }
        let isSentenceOfProblem = [
            ".warning,", ".error,", "unseenNamespaces.append(", "unseenMounts.append(", "ValidationError(",
        ].contains { context.hasSuffix($0) }
        let isName = ["THAW ", "FREEZE "].contains { stem.hasPrefix($0) }
        return stem.first?.isUppercase != true || isSentenceOfProblem || isName
    }
}

extension String {
    /// How many words there are of two letters or more.
    fileprivate var words: Int {
        split(separator: " ").count { $0.count { $0.isLetter } > 1 }
    }
}
