import FreezeCore
import SystemPackage
import Testing

@testable import Hooks

/// docs/hooks.md says what a hook finds.
@Suite struct DocumentationTests {
    @Test func `hooks.md has every variable that a hook finds, and no other`() throws {
        let documented = try Repository.tableRows("docs/hooks.md").compactMap { $0[0].code }
            .filter { $0.allSatisfy { $0.isUppercase || $0 == "_" } }
        #expect(Set(documented) == Set(try Self.variables()))
        #expect(documented.count == Set(documented).count)
    }

    @Test(arguments: ["*~", "*.bak", "*.orig", "*.rpmnew", "*.rpmorig", "*.rpmsave", "*.sample", "*.dpkg-*"])
    func `hooks.md names what is ignored`(pattern: String) throws {
        #expect(try Repository.text("docs/hooks.md").contains("`\(pattern)`"))
        #expect(HookDirectory.isIgnored("10-application" + pattern.filter { $0 != "*" }))
    }

    /// Of all calls that there can be.
    private static func variables() throws -> [String] {
        let scratch = try HookScratch()
        let long = (0..<4000).map { FilePath("/srv/containers/volumes/number-\($0)") }
        let contexts = [
            HookContext.freeze(mountPoints: ["/"]), HookContext.freeze(mountPoints: long), HookContext.thaw(.ok),
        ]
        return try contexts.flatMap { context in
            let environment = try HookEnvironment(
                context, argument: "freeze", settings: scratch.hooks, runDirectory: scratch.run)
            defer { environment.remove() }
            return environment.rows.map { String(decoding: $0.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self) }
        }
    }
}
