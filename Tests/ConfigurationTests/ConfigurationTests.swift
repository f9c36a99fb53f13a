import FreezeCore
import SystemPackage
import Testing

@testable import Configuration

@Suite struct ConfigurationTests {
    private let file: FilePath = "/etc/quiesced/quiesced.toml"

    private func refusal(_ text: String) -> ConfigurationError? {
        do {
            _ = try Configuration(toml: text, file: file)
            Issue.record("accepted: \(text)")
            return nil
        } catch {
            return error
        }
    }

    @Test func `an empty file gives the defaults`() throws {
        #expect(try Configuration(toml: "", file: file) == Configuration())
        #expect(try Configuration(toml: "[freeze]\n[hooks]\n", file: file) == Configuration())
    }

    @Test func `the defaults are those of the design`() {
        let configuration = Configuration()
        #expect(configuration.freeze.timeout == .seconds(10))
        #expect(configuration.freeze.maxWindow == .seconds(60))
        #expect(configuration.freeze.flushTimeout == .seconds(60))
        #expect(configuration.hooks.timeout == .seconds(30))
        #expect(configuration.hooks.totalTimeout == .seconds(120))
        #expect(configuration.filesystems.mountNamespaces == .all)
        #expect(RequestPolicy(configuration).longestFreeze == .seconds(270))
        #expect(configuration.qemu.maxWindow == .seconds(600))
        var policy = RequestPolicy()
        policy.channels[ChannelID.qemu.name]?.maxWindow = .seconds(600)
        #expect(RequestPolicy(configuration) == policy)
        #expect(PlanPolicy(configuration) == PlanPolicy())
    }

    @Test func `an entry of include or exclude that names no filesystem is refused, with its place`() {
        let error = refusal("[filesystems]\ninclude = [\"/\"]\nexclude = [\"/srv\", \"UUID=\"]")
        #expect(error?.key == "filesystems.exclude")
        #expect(error?.line == 3)
        #expect(error?.problem == "\"UUID=\": nothing follows UUID=")
    }

    @Test func `every key can be set`() throws {
        let text = """
            [freeze]
            timeout = "1500ms"
            max_window = "2m"
            flush_timeout = "5s"
            expedited_rcu = false
            [filesystems]
            include = ["/srv*", "LABEL=data"]
            exclude = ["fstype:xfs"]
            unfreezable = "fail"
            unreachable = "fail"
            mount_namespaces = "own"
            [hooks]
            directory = "/opt/hooks/"
            timeout = "1m30s"
            total_timeout = "3m"
            on_failure = "continue"
            [hyperv]
            enabled = false
            device = "/dev/pts/4"
            [kvp]
            enabled = true
            pool = "/run/q/pool"
            [control]
            socket = "/run/q/c.sock"
            [vsock]
            enabled = true
            port = 987
            access = "control"
            token_file = "/etc/quiesced/token"
            [paths]
            run = "/run/q"
            state = "/var/lib/q"
            """
        var expected = Configuration()
        expected.freeze.timeout = .milliseconds(1500)
        expected.freeze.maxWindow = .seconds(120)
        expected.freeze.flushTimeout = .seconds(5)
        expected.freeze.expeditedRCU = .off
        expected.filesystems.include = [try FilesystemSelector(parsing: "/srv*"), .label("data")]
        expected.filesystems.exclude = [.filesystemType("xfs")]
        expected.filesystems.unfreezable = .fail
        expected.filesystems.unreachable = .fail
        expected.filesystems.mountNamespaces = .own
        expected.hooks.directory = "/opt/hooks"
        expected.hooks.timeout = .seconds(90)
        expected.hooks.totalTimeout = .seconds(180)
        expected.hooks.onFailure = .proceed
        expected.hyperv.enabled = .off
        expected.hyperv.device = "/dev/pts/4"
        expected.kvp.enabled = .on
        expected.kvp.pool = "/run/q/pool"
        expected.control.socket = "/run/q/c.sock"
        expected.vsock.enabled = .on
        expected.vsock.port = 987
        expected.vsock.access = .control
        expected.vsock.tokenFile = "/etc/quiesced/token"
        expected.paths.run = "/run/q"
        expected.paths.state = "/var/lib/q"
        #expect(try Configuration(toml: text, file: file) == expected)
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let text: String
        /// What the error must begin with, after the file's name.
        let place: String
        let words: [String]
        var testDescription: String { text }
    }

    @Test(arguments: [
        // Unknown names, with a guess.
        Bad(
            text: "[freeze]\n  timeuot = \"1s\"", place: ":2:3: freeze.timeuot",
            words: ["no such key", "freeze.timeout?"]),
        Bad(text: "[hook]\ntimeout = \"1s\"", place: ":1:1: hook", words: ["no such section", "[hooks]?"]),
        Bad(text: "[wombat]", place: ":1:1: wombat", words: ["no such section", "freeze, hooks"]),
        Bad(text: "[hooks]\nmax_window = \"1m\"", place: ":2:1: hooks.max_window", words: ["freeze.max_window?"]),
        Bad(text: "[paths]\nwombat = 1", place: ":2:1: paths.wombat", words: ["paths.run, paths.state"]),
        Bad(
            text: "flush_timeout = \"1m\"", place: ":1:1: flush_timeout",
            words: ["freeze.flush_timeout?", "[section]"]),
        Bad(text: "freeze = 1", place: ":1:1: freeze", words: ["is a section", "[freeze]"]),
        Bad(text: "freeze.timeout = 10", place: ":1:1: freeze.timeout", words: ["10 is a number"]),
        // Types.
        Bad(text: "[freeze]\ntimeout = 10", place: ":2:1: freeze.timeout", words: ["10 is a number", "\"10s\""]),
        Bad(text: "[freeze]\ntimeout = true", place: ":2:1: freeze.timeout", words: ["true is a boolean"]),
        Bad(
            text: "[filesystems]\nexclude = \"/srv\"", place: ":2:1: filesystems.exclude",
            words: ["a list of strings"]),
        Bad(text: "[filesystems]\nexclude = [1]", place: ":2:1: filesystems.exclude", words: ["a number"]),
        Bad(
            text: "[hooks]\non_failure = \"ignore\"", place: ":2:1: hooks.on_failure",
            words: ["\"abort\" or \"continue\""]),
        Bad(text: "[hyperv]\nenabled = \"true\"", place: ":2:1: hyperv.enabled", words: ["without quotes"]),
        Bad(text: "[hooks]\non_failure = true", place: ":2:1: hooks.on_failure", words: ["true is not one"]),
        Bad(text: "[hooks.timeout]\na = 1", place: ":1:1: hooks.timeout", words: ["a table"]),
        // Paths.
        Bad(text: "[paths]\nrun = \"run/q\"", place: ":2:1: paths.run", words: ["not an absolute path"]),
        Bad(text: "[hooks]\ndirectory = \"\"", place: ":2:1: hooks.directory", words: ["not an absolute path"]),
        Bad(
            text: "[vsock]\ntoken_file = \"token\"", place: ":2:1: vsock.token_file",
            words: ["not an absolute path"]),
        // Numbers.
        Bad(
            text: "[vsock]\nport = 0", place: ":2:1: vsock.port", words: ["0 is out of range", "1 to 4294967294"]),
        Bad(text: "[vsock]\nport = -1", place: ":2:1: vsock.port", words: ["-1 is out of range"]),
        Bad(text: "[vsock]\nport = 4294967295", place: ":2:1: vsock.port", words: ["4294967295 is out of range"]),
        Bad(text: "[vsock]\nport = 9119.0", place: ":2:1: vsock.port", words: ["is a number", "a number from 1"]),
        Bad(text: "[vsock]\nport = \"9119\"", place: ":2:1: vsock.port", words: ["is a string"]),
        // What goes together.
        Bad(
            text: "[vsock]\naccess = \"control\"", place: ":2:1: vsock.access",
            words: ["needs a token", "Set vsock.token_file"]),
        Bad(
            text: "[vsock]\ntoken_file = \"\"\naccess = \"control\"", place: ":3:1: vsock.access",
            words: ["needs a token"]),
        Bad(
            text: "[filesystems]\nmount_namespaces = \"host\"", place: ":2:1: filesystems.mount_namespaces",
            words: ["\"own\" or \"all\""]),
        Bad(text: "[freeze]\nmax_window = \"11m\"", place: ":2:1: freeze.max_window", words: ["at most \"10m\""]),
        Bad(
            text: "[freeze]\ntimeout = \"60s\"", place: ": freeze.max_window",
            words: ["not longer than freeze.timeout"]),
        // Syntax.
        Bad(text: "[freeze]\ntimeout = \"10s", place: ":2:", words: []),
        Bad(text: "[freeze]\ntimeout = \"1s\"\ntimeout = \"2s\"", place: ":3:", words: []),
    ])
    func `a bad file is refused with file, place, key and remedy`(_ bad: Bad) throws {
        let error = try #require(refusal(bad.text))
        #expect(error.description.hasPrefix(file.string + bad.place), "\(error)")
        for word in bad.words { #expect(error.description.contains(word), "\(error)") }
    }

    @Test func `a budget beyond what the host waits for names its keys and the sum`() throws {
        let error = try #require(refusal("[freeze]\nflush_timeout = \"6m\"\n[hooks]\ntotal_timeout = \"140s\"\n"))
        for word in [
            "freeze.flush_timeout", "twice", "hooks.total_timeout", "freeze.timeout", "890s", "870s", "900s",
        ] {
            #expect(error.problem.contains(word), "\(error)")
        }
        #expect(error.key == "freeze.flush_timeout")
        #expect(error.line == 2)
    }

    @Test func `a budget of exactly the limit is accepted`() throws {
        let text = "[freeze]\nflush_timeout = \"6m\"\n[hooks]\ntotal_timeout = \"2m\"\n"
        let policy = RequestPolicy(try Configuration(toml: text, file: file))
        #expect(policy.longestFreeze == policy.shortestFreezeAnswerLimit)
    }

    @Test func `a socket path must fit its address`() {
        let long = "/run/" + String(repeating: "x", count: 103)
        #expect(refusal("[control]\nsocket = \"\(long)\"")?.key == "control.socket")
    }

    @Test func `no place is claimed where strings over several lines could mislead`() {
        let error = refusal(
            "[filesystems]\nexclude = [\"\"\"/\n[freeze]\ntimeout = 1\n\"\"\"]\n[freeze]\ntimeout = 1\n")
        #expect(error?.key == "freeze.timeout")
        #expect(error?.line == nil)
    }

    @Test func `lines end as in DOS too`() {
        #expect(refusal("[freeze]\r\n\r\ntimeout = 1\r\n")?.line == 3)
    }

    // MARK: Imports

    @Test func `rules for the order have two lists of filesystems`() throws {
        let configuration = try Configuration(
            toml: """
                [filesystems]
                [[filesystems.order]]
                first = ["/mnt/served", "fstype:xfs"]
                then = ["UUID=12-ab"]
                """, file: "/c.toml")
        let rule = try #require(configuration.filesystems.order.first)
        #expect(rule.first.map(\.description) == ["/mnt/served", "fstype:xfs"])
        #expect(rule.then.map(\.description) == ["UUID=12-ab"])
        #expect(PlanPolicy(configuration).order == [rule])
        #expect(
            ConfigurationKey.named("filesystems.order")?.text(in: configuration)
                == "[{ first = [\"/mnt/served\", \"fstype:xfs\"], then = [\"UUID=12-ab\"] }]")
    }

    @Test(arguments: [
        ("first = [\"/a\"]", "lacks first or then"), ("first = [\"/a\"]\nthen = \"/b\"", "is a string"),
        ("first = [\"a\"]\nthen = []", "names no filesystem"), ("first = []\nthen = []\nlast = []", "no key"),
    ])
    func `a rule for the order that is wrong is told with its place`(lines: String, words: String) throws {
        let error = #expect(throws: ConfigurationError.self) {
            try Configuration(toml: "[filesystems]\n[[filesystems.order]]\n\(lines)\n", file: "/c.toml")
        }
        #expect(error?.problem.contains(words) == true, "\(String(describing: error))")
        #expect(error?.description.contains("filesystems.order") == true)
    }

    @Test(arguments: [("first", "then"), ("then", "first")])
    func `a rule for the order with an empty list is an error that names the key`(empty: String, other: String)
        throws
    {
        let error = #expect(throws: ConfigurationError.self) {
            try Configuration(
                toml: "[filesystems]\n[[filesystems.order]]\n\(empty) = []\n\(other) = [\"/a\"]\n",
                file: "/c.toml")
        }
        #expect(error?.description.contains("filesystems.order.\(empty): the list is empty") == true)
    }

    // MARK: Overrides

    @Test func `a hook has limits of its own, either of which may be missing`() throws {
        let configuration = try Configuration(
            toml: """
                [hooks]
                timeout = "5s"
                [hooks.overrides."60-db.session"]
                on_failure = "continue"
                [hooks.overrides.50-postgresql]
                timeout = "1m30s"
                on_failure = "abort"
                [hooks.overrides."qemu/a b"]
                timeout = "2s"
                [hooks.overrides.70-none]
                """, file: "/c.toml")
        let expected = [
            HookOverride("50-postgresql", timeout: .seconds(90), onFailure: .abort),
            HookOverride("60-db.session", onFailure: .proceed), HookOverride("70-none"),
            HookOverride("qemu/a b", timeout: .seconds(2)),
        ]
        #expect(configuration.hooks.overrides == expected)
        #expect(configuration.hooks.timeout == .seconds(5))
        let text = try #require(ConfigurationKey.named("hooks.overrides")?.text(in: configuration))
        let again = try Configuration(toml: "[hooks]\noverrides = \(text)\n", file: "/c.toml")
        #expect(again.hooks.overrides == expected, "\(text)")
    }

    @Test(arguments: [
        Bad(
            text: "[hooks.overrides.\"50-a\"]\ntimeuot = \"1s\"", place: ":2:1: hooks.overrides.50-a.timeuot: ",
            words: ["no key \"timeuot\"", "\"timeout\" and \"on_failure\""]),
        Bad(
            text: "[hooks.overrides.\"50-a.session\"]\n\ntimeout = 10",
            place: ":3:1: hooks.overrides.\"50-a.session\".timeout: ",
            words: ["not a duration", "\"10s\""]),
        Bad(
            text: "[hooks.overrides]\n\"50-a\" = { timeout = \"0s\" }",
            place: ":2:1: hooks.overrides.50-a.timeout: ", words: ["it is zero"]),
        Bad(
            text: "[hooks]\noverrides = { 50-a = { on_failure = true } }",
            place: ":2:1: hooks.overrides.50-a.on_failure: ",
            words: ["true is not one", "\"abort\" or \"continue\""]),
        Bad(
            text: "[hooks.overrides.50-a]\non_failure = \"ignore\"",
            place: ":2:1: hooks.overrides.50-a.on_failure: ",
            words: ["\"ignore\" is not one", "\"abort\" or \"continue\""]),
        Bad(
            text: "[hooks.overrides]\n50-a = \"10s\"", place: ":2:1: hooks.overrides.50-a: ",
            words: ["is a section", "[hooks.overrides.\"NAME\"]"]),
        Bad(
            text: "[[hooks.overrides]]\ntimeout = \"10s\"", place: ":1:1: hooks.overrides: ",
            words: ["a list", "[hooks.overrides.\"NAME\"]"]),
        // A name with a dot that is not in quotes.
        Bad(
            text: "[hooks.overrides.50-a.session]\ntimeout = \"1s\"",
            place: ":1:1: hooks.overrides.50-a.session: ", words: ["no key \"session\"", "in quotes"]),
    ])
    func `an override that is wrong is told with its place and the remedy`(_ bad: Bad) throws {
        let error = try #require(refusal(bad.text))
        #expect(error.description.hasPrefix(file.string + bad.place), "\(error)")
        for word in bad.words { #expect(error.description.contains(word), "\(error)") }
    }

    // MARK: Imports of hooks

    @Test func `hooks of other agents are imported with their style and directory`() throws {
        let text = """
            [hooks]
            timeout = "5s"

            [[hooks.import]]
            style = "qemu"
            directory = "/etc/qemu/fsfreeze-hook.d"

            [[hooks.import]]
            style = "vmware"
            directory = "/etc/vmware-tools/backupScripts.d/"
            """
        let configuration = try Configuration(toml: text, file: "/c.toml")
        #expect(
            configuration.hooks.imports == [
                HookImport(.qemu, "/etc/qemu/fsfreeze-hook.d"),
                HookImport(.vmware, "/etc/vmware-tools/backupScripts.d"),
            ])
        #expect(configuration.hooks.timeout == .seconds(5))
    }

    @Test(arguments: [
        ("style = \"azure\"\ndirectory = \"/a\"", "style"), ("style = \"qemu\"", "no directory"),
        ("style = \"qemu\"\ndirectory = \"a\"", "absolute"),
        ("style = \"qemu\"\ndirectory = \"/a\"\ntimeout = \"5s\"", "timeout"), ("style = \"quiesce\"", "style"),
        (
            "style = \"qemu\"\ndirectory = \"/a\"\n[[hooks.import]]\nstyle = \"qemu\"\ndirectory = \"/b\"",
            "two imports"
        ),
    ])
    func `an import that is wrong is told with its place`(lines: String, words: String) throws {
        let error = #expect(throws: ConfigurationError.self) {
            try Configuration(toml: "[hooks]\n[[hooks.import]]\n\(lines)\n", file: "/c.toml")
        }
        #expect(error?.description.contains(words) == true, "\(String(describing: error))")
        #expect(error?.description.contains("hooks.import") == true)
        #expect(error?.line == 2, "\(String(describing: error))")
    }
}
