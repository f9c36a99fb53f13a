import FreezeCore
import Glibc
import SystemPackage
import Testing

@testable import Configuration

/// Files that are missing, or no configuration at all.
@Suite struct ConfigurationFileTests {
    private func withDirectory(_ body: (FilePath) throws -> Void) throws {
        var template = Array("/tmp/quiesce-configuration-XXXXXX".utf8CString)
        let created = mkdtemp(&template) != nil
        try #require(created)
        let directory = FilePath(platformString: template)
        defer {
            unlink(directory.appending("quiesced.toml").string)
            rmdir(directory.appending("directory").string)
            rmdir(directory.string)
        }
        try body(directory)
    }

    private func write(_ bytes: [UInt8], to path: FilePath) throws {
        let descriptor = try FileDescriptor.open(
            path, .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
        try descriptor.closeAfter { _ = try descriptor.writeAll(bytes) }
    }

    @Test func `an absent default file means defaults`() throws {
        try withDirectory { directory in
            let absent = directory.appending("quiesced.toml")
            let configuration = try Configuration.load(from: nil, defaultFile: absent)
            #expect(configuration == Configuration())
        }
    }

    @Test func `a bad default file is an error`() throws {
        try withDirectory { directory in
            let file = directory.appending("quiesced.toml")
            try write(Array("wombat".utf8), to: file)
            #expect(throws: ConfigurationError.self) { try Configuration.load(from: nil, defaultFile: file) }
        }
    }

    @Test func `an absent named file is an error`() throws {
        try withDirectory { directory in
            let absent = directory.appending("quiesced.toml")
            let error = #expect(throws: ConfigurationError.self) { try Configuration.load(from: absent) }
            #expect(error?.file == absent)
            #expect(error?.description.contains("No such file") == true)
        }
    }

    /// Named, so that the test's log does not show their bytes.
    enum BadContent: CaseIterable {
        case notUTF8, zeroByte, tooLong

        var bytes: [UInt8] {
            switch self {
            case .notUTF8: [0x5b, 0x66, 0xff, 0x5d]
            case .zeroByte: Array("[freeze]\n\0timeuot = 1".utf8)
            case .tooLong: [UInt8](repeating: 0x23, count: 1_100_000)
            }
        }
    }

    @Test(arguments: BadContent.allCases)
    func `a file that is no configuration is refused`(content: BadContent) throws {
        try withDirectory { directory in
            let file = directory.appending("quiesced.toml")
            try write(content.bytes, to: file)
            let error = #expect(throws: ConfigurationError.self) { try Configuration.load(from: file) }
            #expect(error?.file == file)
        }
    }

    /// For each of them TOMLKit's parser ends the process.
    @Test(arguments: [
        ("[=", 1, 2), ("[ .a]", 1, 3), ("\n  [[\t?", 2, 6), ("[\n", 1, 2), ("[é]", 1, 2), ("\u{FEFF}[,", 1, 2),
        ("[filesystems]\nexclude = [ # }\n  }", 3, 3), ("[filesystems]\nexclude = [\"a\", }", 2, 17),
        ("a = '''\n[=\n''''\n[=", 4, 2), ("a = \"\\\"[,}\"\r\n[[=", 2, 3), ("a = [[]]\n[+", 2, 2),
        ("a = ''\n[=", 2, 2),
    ])
    func `a text on which the parser would end the process is refused`(text: String, line: Int, column: Int) {
        let error = #expect(throws: ConfigurationError.self) { try Configuration(toml: text, file: "/x") }
        #expect(error?.line == line && error?.column == column, "\(error.map { "\($0)" } ?? "")")
    }

    @Test(arguments: [
        "[freeze]\ntimeout = \"5s\" # [= and [\"a\", }", "[ \"freeze\" ]\ntimeout = '5s'",
        "freeze = { timeout = \"5s\" }",
        "[filesystems]\ninclude = [\n  \"/a\",\n  \"/[=,}]\", # [}\n]\n[freeze]\ntimeout = \"\"\"5s\"\"\"",
    ])
    func `what looks like it in a string or comment is accepted`(text: String) throws {
        #expect(try Configuration(toml: text, file: "/x").freeze.timeout == .seconds(5))
    }

    @Test func `a directory and a FIFO in its place are refused, and do not hang`() throws {
        try withDirectory { directory in
            let inner = directory.appending("directory")
            mkdir(inner.string, 0o700)
            #expect(throws: ConfigurationError.self) { try Configuration.load(from: inner) }
            let fifo = directory.appending("quiesced.toml")
            mkfifo(fifo.string, 0o600)
            // Nobody writes to it: it reads as an empty file.
            let error = #expect(throws: ConfigurationError.self) { try Configuration.load(from: fifo) }
            #expect(error?.problem == "it is not a regular file")
        }
    }

    @Test(.needsRoot(toTest: "trust in the configuration"))
    func `a file or path that others can change is not trusted`() throws {
        // It is absent, and so is nearly all that the defaults name; what exists of it belongs to root.
        try Configuration.verifyTrust(of: nil)
        try Configuration().verifyTrustOfPaths()
        let untrusted: [WritableKeyPath<Configuration, FilePath>] = [
            \.hooks.directory, \.paths.run, \.paths.state, \.control.socket, \.hyperv.device,
        ]
        for path in untrusted {
            var configuration = Configuration()
            configuration[keyPath: path] = "/tmp/quiesce/x"
            #expect(throws: (any Error).self) { try configuration.verifyTrustOfPaths() }
        }
        try Configuration.verifyTrust(of: "/run/quiesce/no-such-file")
        #expect(throws: (any Error).self) { try Configuration.verifyTrust(of: "/tmp/quiesce/no-such-file") }
        try withDirectory { directory in
            let file = directory.appending("quiesced.toml")
            try write([], to: file)
            let error = #expect(throws: (any Error).self) { try Configuration.verifyTrust(of: file) }
            #expect(error.map { "\($0)" }?.contains("/tmp is writable by everybody") == true)
        }
    }

    // MARK: The token

    private func token(
        _ content: [UInt8], mode: mode_t = 0o600, owner: uid_t = 0, in directory: FilePath
    ) throws -> Result<AccessToken?, any Error> {
        var configuration = Configuration()
        configuration.vsock.enabled = .on
        configuration.vsock.tokenFile = directory.appending("quiesced.toml")
        try write(content, to: configuration.vsock.tokenFile)
        try #require(chown(configuration.vsock.tokenFile.string, owner, 0) == 0)
        try #require(chmod(configuration.vsock.tokenFile.string, mode) == 0)
        return Result { try configuration.readToken() }
    }

    @Test(.needsRoot(toTest: "the token of the host"))
    func `a token is read from a file that only root can read`() throws {
        try withDirectory { directory in
            let text = "0123456789abcdef"
            let token = try token(Array("\(text)\n".utf8), in: directory).get()
            #expect(token?.matches(text) == true)
            #expect(try self.token(Array(text.utf8), mode: 0o400, in: directory).get()?.matches(text) == true)
        }
        #expect(try Configuration().readToken() == nil)
    }

    @Test(
        .needsRoot(toTest: "the token of the host"),
        arguments: [
            (16, 0o640, 0, "gives permissions to others than root"),
            (16, 0o604, 0, "gives permissions to others than root"),
            (16, 0o620, 0, "gives permissions to others than root"), (16, 0o600, 1, "is owned by user 1"),
            (15, 0o600, 0, "does not have 16 to 1024 bytes"), (0, 0o600, 0, "does not have 16 to 1024 bytes"),
            (1025, 0o600, 0, "does not have 16 to 1024 bytes"),
            (100_000, 0o600, 0, "does not have 16 to 1024 bytes"),
        ])
    func `a token that others can read, or guess, is refused`(
        count: Int, mode: mode_t, owner: uid_t, words: String
    ) throws {
        try withDirectory { directory in
            let content = [UInt8](repeating: UInt8(ascii: "k"), count: count)
            let result = try token(content, mode: mode, owner: owner, in: directory)
            let error = #expect(throws: (any Error).self) { try result.get() }
            #expect(error.map { "\($0)" }?.contains(words) == true, "\(error.map { "\($0)" } ?? "")")
            #expect(error.map { "\($0)" }?.contains("kkk") == false)
        }
    }

    @Test(.needsRoot(toTest: "the token of the host"))
    func `the file of the token must be there, and be one, but only where it is used`() throws {
        for path: FilePath in ["/run/quiesce/no-such-token", "/dev/null", "/"] {
            var configuration = Configuration()
            configuration.vsock.tokenFile = path
            #expect(try configuration.readToken() == nil)
            configuration.vsock.enabled = .on
            #expect(throws: ConfigurationError.self) { try configuration.readToken() }
        }
        var configuration = Configuration()
        configuration.vsock.tokenFile = "/tmp/quiesce/token"
        try configuration.verifyTrustOfPaths()
        configuration.vsock.enabled = .on
        #expect(throws: (any Error).self) { try configuration.verifyTrustOfPaths() }
    }
}
