import ControlProtocol
import Testing
import Varlink

/// docs/control-socket.md is what programs are written by.
@Suite struct DocumentationTests {
    private static let page = "docs/control-socket.md"

    @Test func `control-socket.md has the interface in full`() throws {
        #expect(try Repository.text(Self.page).contains("```varlink\n\(ControlInterface.description)```\n"))
    }

    @Test func `control-socket.md explains every error, and no other`() throws {
        let documented = try Repository.tableRows(Self.page).filter { $0.count == 3 }.compactMap { $0[0].code }
        #expect(documented == ControlErrorName.allCases.map(\.rawValue))
    }

    @Test(arguments: ["RequestRecord", "FilesystemRecord", "HookRun"])
    func `control-socket.md explains every member of a record`(type: String) throws {
        let section = try #require(
            try Repository.text(Self.page).split(separator: "\n## ").first { $0.hasPrefix("The record of") })
        let members = try Repository.text("Sources/History/\(type)+Codable.swift")
            .split(separator: ": String, CodingKey {").dropFirst()
            .flatMap { $0.prefix { $0 != "}" }.split(separator: "\n") }
            .filter { $0.trimmed.hasPrefix("case ") }
            .flatMap { line -> [String] in
                let names = line.trimmed.dropFirst("case ".count)
                if let name = names.split(separator: "\"").dropFirst().first { return [String(name)] }
                return names.split(separator: ",").map(\.trimmed)
            }
        #expect(members.count > 8)
        for member in members { #expect(section.contains("`\(member)`"), "\(member)") }
    }

    @Test func `control-socket.md has the limits of the server`() throws {
        let text = try Repository.text(Self.page)
        let limits = VarlinkLimits()
        for words in [
            "\(limits.maximumMessage >> 20) MiB a call", "\(limits.maximumConnections) connections",
            "\(limits.idleTimeout.components.seconds) seconds",
        ] {
            #expect(text.contains(words), "\(words)")
        }
    }
}
