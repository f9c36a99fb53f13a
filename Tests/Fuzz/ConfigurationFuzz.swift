import FreezeCore
import SystemPackage

@testable import Configuration

/// The configuration file, through TOMLKit.
struct ConfigurationFuzz: ParserFuzz {
    static let name = "configuration"
    static let sources = [
        "Configuration/Configuration.swift", "Configuration/Configuration+Load.swift",
        "Configuration/Configuration+Checks.swift", "Configuration/ConfigurationDocument.swift",
        "Configuration/ConfigurationKey.swift", "Configuration/ConfigurationValue.swift",
        "Configuration/ConfigurationError.swift", "Configuration/KeyLocator.swift",
        "Configuration/ParserGuard.swift",
    ]

    /// TOMLKit 0.6 frees no table that it has made. A configuration is read once in a process's life.
    static let knownLoss = 5000

    private let mutation = Mutation(
        ConfigurationKey.all.map(\.name) + ConfigurationKey.all.map { "\($0.name) = \($0.defaultText)\n" } + [
            "[freeze]\n", "[[freeze]]\n", "[[hooks.import]]\n", "[[filesystems.order]]\n",
            "[hooks.overrides.50-a]\n",
            "[hooks.overrides.\"a.b\"]\n", "on_failure = \"continue\"\n", "first = [\"/a\"]\n",
            "then = [\"/b\"]\n", "style = \"qemu\"\n", "[filesystems]\n",
            "[hook]\n", "\n[", "\n[[", "[", "]", "{", "}", "{}",
            "[]", "=", ".", ",",
            "\"10s\"", "\"\"", "'''", "\"\"\"", "true", "\"true\"", "1.5", "inf", "nan", "0x1F",
            "1979-05-27T07:32:00Z",
            "1979-05-27", "07:32:00", "# comment\n", "\\u0000", "\\uD800", "\\U0001F9CA", "\"/dev/sd[ab]\"",
            "\"[\"",
            "timeout = \"10s\"\n", String(repeating: "[", count: 300), String(repeating: "a.", count: 300),
            "\"" + String(repeating: "/long", count: 30) + "\"",
        ])
    private let file: ScratchFile

    init() throws {
        file = try ScratchFile()
    }

    func makeInput(_ random: inout SplitMix64) -> FuzzInput {
        if random.oneIn(5000) {
            return FuzzInput([UInt8](repeating: UInt8(ascii: "#"), count: 1_048_570 + random.below(12)))
        }
        let keys = random.list(atMost: 6) { $0.one(of: ConfigurationKey.all) }
        var sections: [String: [String: String]] = [:]
        for key in keys {
            let parts = key.name.split(separator: ".")
            sections[String(parts[0]), default: [:]][String(parts[1])] = value(of: key, &random)
        }
        var text = ""
        for (section, values) in sections.sorted(by: { $0.key < $1.key }) {
            let isDotted = text.isEmpty && random.oneIn(6)
            if !isDotted { text += "[\(section)]\n" }
            for (name, value) in values.sorted(by: { $0.key < $1.key }) {
                text += (isDotted ? "\(section)." : "") + "\(name)\(random.oneIn(2) ? " = " : "=")\(value)\n"
            }
        }
        let bytes = Array(text.utf8)
        return FuzzInput(random.oneIn(2) ? bytes : mutation.mutated(bytes, &random))
    }

    /// Mostly what the key takes; the limits and what goes together are left to chance.
    private func value(of key: ConfigurationKey, _ random: inout SplitMix64) -> String {
        if random.oneIn(30) {
            return random.one(of: ["1", "[]", "\"x\"", "true", "{a = 1}", "\"5\"", "-1", "1.5"])
        }
        switch key.value {
        case .duration: return "\"\(1 + random.below(60))\(random.one(of: ["s", "s", "ms", "m"]))\""
        case .path: return "\"/\(random.one(of: ["run/quiesced", "srv/../x", "a b", "ü", "etc//q/"]))\""
        case .optionalPath: return random.one(of: ["\"\"", "\"/etc/token\"", "\"token\"", "1"])
        case .number(_, let range):
            let numbers = [range.lowerBound, range.upperBound, 9119, range.lowerBound - 1, range.upperBound + 1]
            return "\(random.one(of: numbers))"
        case .selectors:
            let selectors = [
                "/srv/*", "UUID=5A7B", "LABEL=my data", "/dev/sd[ab]?", "fstype:vfat", "/a\\\\*b", "**/x",
            ]
            return "[" + random.list(atMost: 4) { "\"\($0.one(of: selectors))\"" }.joined(separator: ", ") + "]"
        case .imports:
            let imports = random.list(atMost: 3) { random in
                let parts = [
                    "style = \"\(random.one(of: ["qemu", "qemu", "vmware", "vmware", "quiesce", "x"]))\"",
                    "directory = \(random.one(of: ["\"/etc/a\"", "\"/etc/b/\"", "\"a\"", "1"]))",
                    "timeout = \"1s\"",
                ]
                let chosen =
                    random.oneIn(4) ? random.list(atMost: 3) { $0.one(of: parts) } : Array(parts.prefix(2))
                return random.oneIn(20) ? "1" : "{ \(Set(chosen).sorted().joined(separator: ", ")) }"
            }
            return "[" + imports.joined(separator: ", ") + "]"
        case .orders:
            let rules = random.list(atMost: 2) { random in
                let parts = ["first = [\"/a\"]", "then = [\"/b\", \"fstype:xfs\"]", "then = 1", "last = []"]
                let chosen =
                    random.oneIn(4) ? random.list(atMost: 3) { $0.one(of: parts) } : Array(parts.prefix(2))
                return random.oneIn(20) ? "1" : "{ \(Set(chosen).sorted().joined(separator: ", ")) }"
            }
            return "[" + rules.joined(separator: ", ") + "]"
        case .overrides:
            let names = random.list(atMost: 3) { random in
                random.one(of: ["50-a", "\"60-a.session\"", "\"qemu/a b\"", "\"\"", "\"\\u0001\"", "\"ü\\\"\""])
            }
            let overrides = Set(names).sorted().map { name in
                let timeout = random.one(of: ["\"5s\"", "\"2m\"", "\"5s\"", "\"1h\"", "1", "\"0s\""])
                let onFailure = random.one(of: ["\"abort\"", "\"continue\"", "\"continue\"", "\"x\"", "true"])
                let parts = ["timeout = \(timeout)", "on_failure = \(onFailure)", "x = 1"]
                let chosen =
                    random.oneIn(8) ? parts : random.list(atMost: 2) { $0.one(of: Array(parts.prefix(2))) }
                let limits = "{ \(Set(chosen).sorted().joined(separator: ", ")) }"
                return "\(name) = \(random.oneIn(20) ? "1" : limits)"
            }
            return "{ \(overrides.joined(separator: ", ")) }"
        case .choice(let words, _, _):
            let word = random.one(of: words)
            return ["true", "false"].contains(word) ? word : "\"\(word)\""
        }
    }

    // MARK: Feeding

    func check(_ input: FuzzInput) throws -> Verdict {
        try file.fill(with: input.bytes)
        let configuration: Configuration
        do throws(ConfigurationError) {
            configuration = try Configuration.load(from: file.path)
        } catch {
            try checkRefusal(error, input.bytes)
            return .refused
        }
        try checkLimits(of: configuration)
        try checkRoundTrip(of: configuration)
        return .accepted
    }

    private func checkRefusal(_ error: ConfigurationError, _ bytes: [UInt8]) throws {
        try require(error.file == file.path && error.description.contains(file.path.string), "\(error): no file")
        try require(!error.problem.isEmpty, "\(error) does not say what is wrong")
        if let key = error.key { try require(error.description.contains(key), "\(error): no key") }
        for scalar in error.description.unicodeScalars {
            try require(scalar.properties.generalCategory != .control, "\(error) controls the terminal")
        }
        // A place that an editor can jump to; the one after the end counts.
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if let line = error.line {
            try require((1...lines.count + 1).contains(line), "\(error): there is no line \(line)")
            if let column = error.column, line <= lines.count {
                try require(
                    (1...lines[line - 1].count + 2).contains(column), "\(error): there is no column \(column)")
            }
        }
    }

    /// What the daemon relies on.
    private func checkLimits(of configuration: Configuration) throws {
        let paths =
            [
                configuration.hooks.directory, configuration.hyperv.device, configuration.kvp.pool,
                configuration.control.socket,
                configuration.paths.run, configuration.paths.state,
            ]
            + configuration.hooks.imports.map(\.directory)
        for path in paths { try require(path.isAbsolute, "\(path.escaped) is not absolute") }
        let freeze = configuration.freeze
        try require(configuration.control.socket.string.utf8.count <= 107, "the socket's name is too long")
        try require(
            freeze.timeout > .zero && freeze.timeout < freeze.maxWindow, "the window is over before it is frozen")
        try require(freeze.maxWindow <= .seconds(600), "the window is too long")
        try require(freeze.flushTimeout > .zero && configuration.hooks.timeout > .zero, "a timeout is zero")
        let policy = RequestPolicy(configuration)
        try require(
            policy.longestFreeze <= ChannelRules.hyperVFreezeAnswerLimit, "FREEZE can be answered too late")
    }

    /// Every key written as it is shown gives the same configuration, if nothing had to be escaped.
    private func checkRoundTrip(of configuration: Configuration) throws {
        let lines = ConfigurationKey.all.map { "\($0.name) = \($0.text(in: configuration))\n" }
        let selectors = configuration.filesystems.include + configuration.filesystems.exclude
        guard !selectors.contains(where: { $0.description.contains("\\") }) else { return }
        let again = try Configuration(toml: lines.joined(), file: file.path)
        try require(again == configuration, "written again it is another:\n\(lines.joined())")
    }
}
