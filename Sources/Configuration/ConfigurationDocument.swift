import SystemPackage
import TOMLKit

/// The text of one configuration file: reads its keys, and knows where they stand.
struct ConfigurationDocument {
    let text: String
    let file: FilePath

    func read(into configuration: inout Configuration) throws(ConfigurationError) {
        let root = try parse()
        for section in root.keys {
            guard ConfigurationKey.sections.contains(section) else { throw unknownSection(section) }
            guard let table = root[section]?.table else {
                throw error(section, problem: "it is a section, not a key", remedy: "Write [\(section)]")
            }
            for name in table.keys {
                let fullName = "\(section).\(name)"
                guard let key = ConfigurationKey.named(fullName), let value = table[name] else {
                    throw unknownKey(fullName)
                }
                do throws(Complaint) {
                    try key.value.read(value, into: &configuration)
                } catch {
                    throw self.error(fullName, in: error.place, problem: error.problem, remedy: error.remedy)
                }
            }
        }
    }

    /// Reads some keys as far as they can be read, in a document that is not accepted as a whole: from the whole
    /// document if it is TOML, else from the line of each key.
    func readLeniently(_ names: [String], into configuration: inout Configuration) {
        let root = try? parse()
        for name in names {
            guard let key = ConfigurationKey.named(name) else { continue }
            let last = String(name.dropFirst(key.section.count + 1))
            if let root {
                guard let value = root[key.section]?.table?[last] else { continue }
                _ = try? key.value.read(value, into: &configuration)
            } else if let value = KeyLocator(text).line(of: name)?.value {
                let line = ConfigurationDocument(text: "[\(key.section)]\n\(last) =\(value)", file: file)
                try? line.read(into: &configuration)
            }
        }
    }

    private func parse() throws(ConfigurationError) -> TOMLTable {
        if let mistake = ParserGuard.mistake(in: text) {
            throw ConfigurationError(
                file: file, line: mistake.line, column: mistake.column, problem: mistake.problem,
                remedy: mistake.remedy)
        }
        do {
            return try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw ConfigurationError(
                file: file, line: error.source.begin.line, column: error.source.begin.column,
                problem: error.description, remedy: nil)
        } catch {
            throw ConfigurationError(file: file, problem: "\(error)", remedy: nil)
        }
    }

    /// An error about one key, with its place in the file if it stands there.
    ///
    /// - Parameter inner: Where in the key's value, from the outside in, if that is a table.
    func error(
        _ key: String, in inner: [String] = [], problem: String, remedy: String?
    ) -> ConfigurationError {
        let locator = KeyLocator(text)
        // The innermost that stands on a line of its own.
        let place = (0...inner.count).reversed().lazy.compactMap { count in
            locator.place(of: ([key] + inner.prefix(count)).joined(separator: "."))
        }.first
        return ConfigurationError(
            file: file, key: ([key] + inner.map(ConfigurationValue.key)).joined(separator: "."), line: place?.line,
            column: place?.column, problem: problem, remedy: remedy)
    }

    private func unknownSection(_ section: String) -> ConfigurationError {
        let candidates =
            Array(ConfigurationKey.sections)
            + ConfigurationKey.all.map { String($0.name.drop { $0 != "." }.dropFirst()) }
        guard let nearest = Nearest.word(to: section, in: candidates) else {
            let sections = ConfigurationKey.sections.sorted().joined(separator: ", ")
            return error(section, problem: "there is no such section", remedy: "The sections are \(sections)")
        }
        // A key before the first section header looks like a section to the parser.
        let remedy =
            ConfigurationKey.sections.contains(nearest)
            ? "Did you mean [\(nearest)]?"
            : "Did you mean "
                + ConfigurationKey.all.map(\.name).filter { $0.hasSuffix(".\(nearest)") }.joined(separator: " or ")
                + "? Keys stand below the [section] they belong to"
        return error(section, problem: "there is no such section", remedy: remedy)
    }

    private func unknownKey(_ fullName: String) -> ConfigurationError {
        let section = fullName.prefix { $0 != "." } + "."
        let names = ConfigurationKey.all.map(\.name)
        let siblings = names.filter { $0.hasPrefix(section) }
        let last = fullName.drop { $0 != "." }
        let remedy: String
        if let nearest = Nearest.word(to: fullName, in: siblings) {
            remedy = "Did you mean \(nearest)?"
        } else if let elsewhere = names.first(where: { $0.hasSuffix(last) }) {
            remedy = "Did you mean \(elsewhere)?"
        } else {
            remedy = "The keys of its section are \(siblings.joined(separator: ", "))"
        }
        return error(fullName, problem: "there is no such key", remedy: remedy)
    }
}

/// Guesses what was meant.
enum Nearest {
    /// The candidate with the fewest edits, if that is few enough to be a slip of the hand.
    static func word(to word: String, in candidates: [String]) -> String? {
        let limit = max(2, word.count / 4)
        let distances = candidates.sorted().map { (candidate: $0, distance: distance(word, $0)) }
        guard let best = distances.min(by: { $0.distance < $1.distance }), best.distance <= limit else {
            return nil
        }
        return best.candidate
    }

    /// Levenshtein's distance.
    static func distance(_ left: String, _ right: String) -> Int {
        let right = Array(right)
        var previous = Array(0...right.count)
        for (row, character) in left.enumerated() {
            var current = [row + 1]
            for column in right.indices {
                current.append(
                    min(
                        previous[column] + (character == right[column] ? 0 : 1), previous[column + 1] + 1,
                        current[column] + 1))
            }
            previous = current
        }
        return previous[right.count]
    }
}
