import FreezeCore
import SystemPackage
import TOMLKit

/// How a key's value is read from TOML, where it is kept, and how it is written.
enum ConfigurationValue: Sendable {
    typealias Place<Value> = any WritableKeyPath<Configuration, Value> & Sendable

    case duration(Place<Duration>)
    case path(Place<FilePath>)
    /// Empty for none.
    case optionalPath(Place<FilePath>)
    case number(Place<Int>, ClosedRange<Int>)
    case selectors(Place<[FilesystemSelector]>)
    case imports(Place<[HookImport]>)
    case orders(Place<[FreezeOrder.Rule]>)
    case overrides(Place<[HookOverride]>)
    case choice(
        words: [String], get: @Sendable (Configuration) -> String,
        set: @Sendable (inout Configuration, String) -> Void)

    static func choice<Choice: RawRepresentable<String> & CaseIterable & SendableMetatype>(_ place: Place<Choice>)
        -> Self
    {
        .choice(
            words: Choice.allCases.map(\.rawValue), get: { $0[keyPath: place].rawValue },
            set: { configuration, word in
                // Only ever called with one of the words above.
                if let choice = Choice(rawValue: word) { configuration[keyPath: place] = choice }
            })
    }

    var type: String {
        switch self {
        case .duration: "a duration such as \"10s\" or \"2m\""
        case .path: "an absolute path"
        case .optionalPath: "an absolute path, or \"\" for none"
        case .number(_, let range): "a number from \(range.lowerBound) to \(range.upperBound)"
        case .selectors: "a list of strings"
        case .imports: "sections [[hooks.import]] with style and directory"
        case .overrides: "sections [hooks.overrides.\"NAME\"] with timeout or on_failure"
        case .orders: "sections [[filesystems.order]] with first and then"
        case .choice(let words, _, _): words.map(Self.written).joined(separator: " or ")
        }
    }

    func text(in configuration: Configuration) -> String {
        switch self {
        case .duration(let place): Self.quoted(DurationText.text(configuration[keyPath: place]))
        case .path(let place), .optionalPath(let place): Self.quoted(configuration[keyPath: place].string)
        case .number(let place, _): "\(configuration[keyPath: place])"
        case .selectors(let place): Self.list(configuration[keyPath: place])
        case .orders(let place):
            "["
                + configuration[keyPath: place].map {
                    "{ first = \(Self.list($0.first)), then = \(Self.list($0.then)) }"
                }.joined(separator: ", ") + "]"
        case .imports(let place):
            "["
                + configuration[keyPath: place].map {
                    "{ style = \(Self.quoted($0.style.rawValue)), directory = \(Self.quoted($0.directory.string)) }"
                }.joined(separator: ", ") + "]"
        case .overrides(let place): Self.table(configuration[keyPath: place].map { ($0.hook, Self.text($0)) })
        case .choice(_, let get, _): Self.written(get(configuration))
        }
    }

    /// Puts the value where it belongs.
    ///
    /// - Throws: The problem of the value, in a clause.
    func read(_ value: any TOMLValueConvertible, into configuration: inout Configuration) throws(Complaint) {
        switch self {
        case .duration(let place):
            guard let text = value.string else { throw wrongType(value) }
            configuration[keyPath: place] = try Self.duration(text)
        case .path(let place):
            guard let text = value.string else { throw wrongType(value) }
            configuration[keyPath: place] = try Self.path(text)
        case .optionalPath(let place):
            guard let text = value.string else { throw wrongType(value) }
            configuration[keyPath: place] = text.isEmpty ? FilePath() : try Self.path(text)
        case .number(let place, let range):
            guard let number = value.int else { throw wrongType(value) }
            guard range.contains(number) else {
                throw Complaint("\(number) is out of range", remedy: "Write \(type)")
            }
            configuration[keyPath: place] = number
        case .selectors(let place): configuration[keyPath: place] = try selectors(value)
        case .orders(let place):
            guard let array = value.array else { throw wrongType(value) }
            var rules: [FreezeOrder.Rule] = []
            for element in array {
                guard let table = element.table else { throw wrongType(element) }
                rules.append(try orderRule(table))
            }
            configuration[keyPath: place] = rules
        case .imports(let place):
            guard let array = value.array else { throw wrongType(value) }
            var imports: [HookImport] = []
            for element in array {
                guard let table = element.table else { throw wrongType(element) }
                imports.append(try Self.hookImport(table))
            }
            for style in HookStyle.allCases where imports.count(where: { $0.style == style }) > 1 {
                throw Complaint(
                    "two imports have the style \(Self.quoted(style.rawValue))",
                    remedy: "Put the hooks of both into one directory")
            }
            configuration[keyPath: place] = imports
        case .overrides(let place): configuration[keyPath: place] = try overrides(value)
        case .choice(let words, _, let set):
            let word: String
            if let boolean = value.bool {
                word = boolean ? "true" : "false"
            } else if let string = value.string {
                guard !Self.isBoolean(string) || !words.contains(string) else {
                    throw Complaint("\(Self.quoted(string)) is a string", remedy: "Write \(string) without quotes")
                }
                word = string
            } else {
                throw wrongType(value)
            }
            guard words.contains(word) else {
                throw Complaint("\(value.debugDescription) is not one of its values", remedy: "Write \(type)")
            }
            set(&configuration, word)
        }
    }

    private func selectors(_ value: any TOMLValueConvertible) throws(Complaint) -> [FilesystemSelector] {
        guard let array = value.array else { throw wrongType(value) }
        var selectors: [FilesystemSelector] = []
        for element in array {
            guard let string = element.string else { throw wrongType(element) }
            selectors.append(try Self.selector(string))
        }
        return selectors
    }

    private func orderRule(_ table: TOMLTable) throws(Complaint) -> FreezeOrder.Rule {
        for key in table.keys where key != "first" && key != "then" {
            throw Complaint(
                "a rule for the order has no key \(Self.quoted(key))",
                remedy: "Its keys are \"first\" and \"then\"")
        }
        guard let first = table["first"], let then = table["then"] else {
            throw Complaint(
                "a rule for the order lacks first or then",
                remedy: "Write first = [\"/…\"] and then = [\"/…\"]")
        }
        let rule = FreezeOrder.Rule(first: try selectors(first), then: try selectors(then))
        for (key, list) in [("first", rule.first), ("then", rule.then)] where list.isEmpty {
            throw Complaint(
                "the list is empty, so the rule has no effect",
                remedy: "Write \(key) = [\"/…\"], or remove the rule"
            ).about(key)
        }
        return rule
    }

    private func overrides(_ value: any TOMLValueConvertible) throws(Complaint) -> [HookOverride] {
        guard let table = value.table else { throw wrongType(value) }
        var overrides: [HookOverride] = []
        for name in table.keys {
            do throws(Complaint) {
                guard let limits = table[name]?.table else {
                    throw Complaint("an override of a hook is a section", remedy: "Write \(type)")
                }
                overrides.append(try Self.override(of: name, limits))
            } catch {
                throw error.about(name)
            }
        }
        return overrides.sorted { $0.hook.utf8.lexicographicallyPrecedes($1.hook.utf8) }
    }

    private static func override(of name: String, _ limits: TOMLTable) throws(Complaint) -> HookOverride {
        var timeout: Duration?
        var onFailure: RequestPolicy.HookFailure?
        for key in limits.keys {
            let value = limits[key]
            do throws(Complaint) {
                switch key {
                case "timeout":
                    guard let text = value?.string else {
                        throw Complaint(
                            "it is not a duration", remedy: "Write a duration such as \"10s\" or \"2m\"")
                    }
                    timeout = try duration(text)
                case "on_failure":
                    onFailure = value?.string.flatMap { RequestPolicy.HookFailure(rawValue: $0) }
                    guard onFailure != nil else {
                        let words = RequestPolicy.HookFailure.allCases.map { quoted($0.rawValue) }
                        throw Complaint(
                            "\(value?.debugDescription ?? "") is not one of its values",
                            remedy: "Write \(words.joined(separator: " or "))")
                    }
                default:
                    throw Complaint(
                        "an override of a hook has no key \(quoted(key))",
                        remedy: "Its keys are \"timeout\" and \"on_failure\"; a name with a dot stands in quotes")
                }
            } catch {
                throw error.about(key)
            }
        }
        return HookOverride(name, timeout: timeout, onFailure: onFailure)
    }

    private static func text(_ override: HookOverride) -> String {
        let timeout = override.timeout.map { ("timeout", quoted(DurationText.text($0))) }
        let onFailure = override.onFailure.map { ("on_failure", quoted($0.rawValue)) }
        return table([timeout, onFailure].compactMap(\.self))
    }

    /// An inline table.
    private static func table(_ values: [(key: String, text: String)]) -> String {
        let pairs = values.map { "\(key($0.key)) = \($0.text)" }
        return pairs.isEmpty ? "{}" : "{ \(pairs.joined(separator: ", ")) }"
    }

    private static func list(_ selectors: [FilesystemSelector]) -> String {
        "[" + selectors.map { quoted($0.description) }.joined(separator: ", ") + "]"
    }

    private static func path(_ text: String) throws(Complaint) -> FilePath {
        guard text.hasPrefix("/"), !text.utf8.contains(0) else {
            throw Complaint("\(quoted(text)) is not an absolute path", remedy: "Write it from / on")
        }
        return FilePath(text).lexicallyNormalized()
    }

    private static func hookImport(_ table: TOMLTable) throws(Complaint) -> HookImport {
        let styles = HookStyle.allCases.filter { $0 != .quiesce }
        for key in table.keys where key != "style" && key != "directory" {
            throw Complaint(
                "an import has no key \(quoted(key))", remedy: "Its keys are \"style\" and \"directory\"")
        }
        guard let style = styles.first(where: { $0.rawValue == table["style"]?.string }) else {
            let words = styles.map { quoted($0.rawValue) }.joined(separator: " or ")
            throw Complaint("an import has no style that is known", remedy: "Write style = \(words)")
        }
        guard let directory = table["directory"]?.string else {
            throw Complaint("an import has no directory", remedy: "Write directory = \"/…\"")
        }
        return HookImport(style, try path(directory))
    }

    private static func duration(_ text: String) throws(Complaint) -> Duration {
        do throws(DurationText.ParseError) {
            return try DurationText.parse(text)
        } catch {
            throw Complaint(error)
        }
    }

    private static func selector(_ text: String) throws(Complaint) -> FilesystemSelector {
        do throws(FilesystemSelector.ParseError) {
            return try FilesystemSelector(parsing: text)
        } catch {
            throw Complaint(error)
        }
    }

    private func wrongType(_ value: any TOMLValueConvertible) -> Complaint {
        Complaint("\(value.debugDescription) is \(Self.typeName(value))", remedy: "Write \(type)")
    }

    private static func typeName(_ value: any TOMLValueConvertible) -> String {
        switch value.type {
        case .table: "a table"
        case .array: "a list"
        case .string: "a string"
        case .int, .double: "a number"
        case .bool: "a boolean"
        case .date, .time, .dateTime: "a date or time"
        }
    }

    /// A key of a table, in quotes if it needs them.
    static func key(_ name: String) -> String {
        let isBare =
            !name.isEmpty
            && name.unicodeScalars.allSatisfy { scalar in
                switch scalar {
                case "a"..."z", "A"..."Z", "0"..."9", "_", "-": true
                default: false
                }
            }
        return isBare ? name : quoted(name)
    }

    private static func isBoolean(_ word: String) -> Bool { word == "true" || word == "false" }
    private static func written(_ word: String) -> String { isBoolean(word) ? word : quoted(word) }

    /// A TOML basic string.
    private static func quoted(_ text: String) -> String {
        let escaped = text.unicodeScalars.map { scalar in
            switch scalar {
            case "\"": "\\\""
            case "\\": "\\\\"
            case "\n": "\\n"
            case "\t": "\\t"
            case "\u{0}"..."\u{1F}", "\u{7F}":
                "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: String(scalar)
            }
        }
        return "\"" + escaped.joined() + "\""
    }
}

/// The problem of a value, without the file and the key.
struct Complaint: Error {
    let problem: String
    let remedy: String?
    /// Of the value in the key's, from the outside in; empty if the whole is at fault.
    private(set) var place: [String] = []

    init(_ problem: String, remedy: String?) {
        self.problem = problem
        self.remedy = remedy
    }

    /// The same of a value in a table.
    func about(_ key: String) -> Complaint {
        var complaint = self
        complaint.place.insert(key, at: 0)
        return complaint
    }

    init(_ error: some ActionableError) {
        self.init("\(error.subject): \(error.problem)", remedy: error.remedy)
    }
}
