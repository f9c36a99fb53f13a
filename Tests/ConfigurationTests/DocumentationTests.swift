import SystemPackage
import Testing

@testable import Configuration

/// The pages that an admin configures by say what the code does.
@Suite struct DocumentationTests {
    /// A key as a page has it.
    struct Entry: Hashable, CustomStringConvertible {
        let name: String
        let type: String
        let defaultText: String

        var description: String { "\(name), \(type), default \(defaultText)" }
    }

    @Test func `configuration.md has every key with its type and default, and no other`() throws {
        let documented = try Repository.tableRows("docs/configuration.md").filter { $0.count == 4 }.compactMap {
            row in
            row[0].code.map { Entry(name: $0, type: row[1], defaultText: row[2].code ?? row[2]) }
        }
        let known = ConfigurationKey.all.map { Entry(name: $0.name, type: $0.type, defaultText: $0.defaultText) }
        #expect(documented == known)
    }

    @Test func `the example file has every key with its default, and no other`() throws {
        let path = "packaging/quiesced.toml"
        #expect(try Configuration.load(from: Repository.root.appending(path)) == Configuration())
        var section = ""
        var settings: [Entry] = []
        for line in try Repository.text(path).split(separator: "\n") where !line.hasPrefix("#") {
            if line.hasPrefix("[") {
                section = String(line.dropFirst().dropLast())
            } else {
                let parts = line.split(separator: "=", maxSplits: 1).map(\.trimmed)
                let value = try #require(parts.count == 2 ? parts[1] : nil)
                settings.append(Entry(name: "\(section).\(parts[0])", type: "", defaultText: value))
            }
        }
        #expect(
            settings
                == ConfigurationKey.all.filter { !Self.sections.contains($0.name) }.map {
                    Entry(name: $0.name, type: "", defaultText: $0.defaultText)
                })
    }

    /// Sections have no line of their own; the file shows them in comments.
    private static let sections = ["hooks.import", "hooks.overrides", "filesystems.order"]

    @Test(arguments: sections)
    func `the example file shows sections in comments that can be used as they are`(section: String) throws {
        let text = try Repository.text("packaging/quiesced.toml")
        let examples = text.split(separator: "\n").filter { $0.hasPrefix("#   ") }.map { $0.dropFirst(4) }
        let configuration = try Configuration(toml: examples.joined(separator: "\n"), file: "/c.toml")
        let key = try #require(ConfigurationKey.named(section))
        #expect(key.text(in: configuration) != key.defaultText)
    }
}
