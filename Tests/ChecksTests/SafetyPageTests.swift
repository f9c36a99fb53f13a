import LinuxCalls
import SystemPackage
import Testing

/// docs/safety.md says which tests show a promise: they are there, and named for it.
@Suite struct SafetyPageTests {
    private struct Row {
        let promise: String
        let suites: [String]
        /// A test of a part does not know the promise by its number.
        let isOfPart: Bool
    }

    @Test(arguments: (1...9).map { "P\($0)" })
    func `each promise has tests that are named for it`(promise: String) throws {
        let rows = try Self.rows().filter { $0.promise == promise }
        #expect(!rows.isEmpty)
        let sources = try Self.sources(in: Repository.root.appending("Tests"))
        for row in rows {
            for suite in row.suites {
                let texts = sources.filter { $0.contains("struct \(suite) ") }
                #expect(!texts.isEmpty, "there is no suite \(suite)")
                let names = texts.flatMap(Self.testNames)
                let isNamed = row.isOfPart || names.contains { Self.words($0).contains(promise) }
                #expect(isNamed, "\(suite) has no test that is named for \(promise)")
            }
        }
    }

    /// Of the tables below the headings `## P1: …`.
    private static func rows() throws -> [Row] {
        var promise = ""
        var rows: [Row] = []
        for line in try Repository.text("docs/safety.md").split(separator: "\n") {
            if line.hasPrefix("## ") { promise = String(line.dropFirst(3).prefix { $0 != ":" }) }
            guard line.hasPrefix("| `") else { continue }
            let cell = line.dropFirst().prefix { $0 != "|" }
            let suites = cell.split(separator: "`").filter { $0.hasSuffix("Tests") }.map(String.init)
            rows.append(Row(promise: promise, suites: suites, isOfPart: line.contains("a test of a part")))
        }
        return rows
    }

    private static func sources(in directory: FilePath) throws -> [String] {
        try directoryEntries(directory).flatMap { entry in
            let path = directory.appending(entry)
            if entry.extension == "swift" { return [String(decoding: try readWholeFile(path), as: UTF8.self)] }
            return entry.extension == nil ? (try? sources(in: path)) ?? [] : []
        }
    }

    /// In backticks after `func`, perhaps on a line of their own.
    private static func testNames(in source: String) -> [String] {
        source.split(separator: "\n").map { $0.drop { $0 == " " } }
            .filter { $0.contains("func `") || $0.hasPrefix("`") || $0.hasPrefix("@Test(\"") }.map(String.init)
    }

    /// "P1–P9" names them all.
    private static func words(_ name: String) -> [String] {
        if name.contains("P1–P9") { return (1...9).map { "P\($0)" } }
        return name.split { !$0.isLetter && !$0.isNumber }.map(String.init)
    }
}
