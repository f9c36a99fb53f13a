import FoundationEssentials
import SystemPackage
import Testing

@testable import Configuration

/// A configuration that is not accepted still leads to the daemon.
@Suite struct DaemonPlacesTests {
    private func places(_ text: String) throws -> DaemonPlaces {
        try places(Data(text.utf8))
    }

    private func places(_ bytes: Data) throws -> DaemonPlaces {
        let file = FilePath("/tmp/quiesce-places-\(UUID().uuidString).toml")
        try bytes.write(to: URL(filePath: file.string))
        defer { try? FileManager.default.removeItem(atPath: file.string) }
        return try DaemonPlaces(from: file)
    }

    @Test func `one that is accepted is read as usual`() throws {
        let places = try places("[paths]\nrun = \"/run/other\"")
        #expect(places.flaw == nil)
        #expect(places.run == "/run/other" && places.socket == "/run/other/control.sock")
    }

    @Test(arguments: [
        "[freeze]\ntimeout = 10\n", "[freeze]\ntimeot = \"10s\"\n", "[freeze\n", "freeze.timeout = = 1\n", "]]\n",
        "[freeze]\ntimeout = \"10s\n", "[=\n", "x = [\"a\", }\n", "\"\"\"\n",
    ])
    func `a mistake elsewhere does not hide the paths`(mistake: String) throws {
        let places = try places(
            "\(mistake)[paths]\nrun = \"/run/other\" # a comment\n[control]\nsocket='/run/s'\n")
        #expect(places.flaw != nil)
        #expect(places.run == "/run/other" && places.socket == "/run/s")
    }

    @Test(arguments: ["run = /run/other", "run = \"run/other\"", "run = 7", "run = \"/run/other"])
    func `a path that cannot be read has its default`(line: String) throws {
        let places = try places("[paths]\n\(line)\n")
        #expect(places.flaw != nil && places.namedRun == nil)
        #expect(places.run == "/run/quiesced" && places.socket == "/run/quiesced/control.sock")
    }

    @Test func `the socket is in the run directory that is named`() throws {
        let places = try places("[freeze\n[paths]\nrun = \"/run/other\"\n")
        #expect(places.socket == "/run/other/control.sock")
    }

    @Test func `a comment that is not UTF-8 hides nothing`() throws {
        let bytes = Data("# ".utf8) + Data([0xE4, 0]) + Data("\n[paths]\nrun = \"/run/other\"\n".utf8)
        let places = try places(bytes)
        #expect(places.flaw != nil && places.run == "/run/other")
    }

    @Test func `a file that was named and is not there is an error`() {
        #expect(throws: ConfigurationError.self) { try DaemonPlaces(from: "/no/such/file.toml") }
        #expect(throws: Never.self) { try DaemonPlaces(from: nil, defaultFile: "/no/such/file.toml") }
    }
}
