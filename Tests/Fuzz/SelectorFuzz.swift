import SystemPackage

@testable import FreezeCore

/// The selectors, patterns and durations that an admin writes, in the configuration and on the command line.
struct SelectorFuzz: ParserFuzz {
    static let name = "selector"
    static let sources = [
        "FreezeCore/Plan/FilesystemSelector.swift", "FreezeCore/Plan/Glob.swift",
        "FreezeCore/Basics/DurationText.swift",
    ]

    private let mutation = Mutation([
        "*", "**", "?", "[a-z]", "[!a]", "[", "]", "[]]", "[z-a]", "[a", "/", "/dev/", "UUID=", "LABEL=",
        "fstype:", "\\*",
        "10s", "1m30s", "500ms", "1h", "h", "ms", "24h", "25h", "9223372036854775807h", "٣s", "-1s",
    ])
    private static let pieces = [
        "/", "srv", "*", "**", "?", "[a-c]", "[!x]", "a", "ü", "\\*", "\\[", "[]a]", "/dev/sd", "1", "-",
    ]

    func makeInput(_ random: inout SplitMix64) -> FuzzInput {
        let text: String
        switch random.below(6) {
        case 0: text = "/" + random.list(atMost: random.oneIn(20) ? 60 : 8) { $0.one(of: Self.pieces) }.joined()
        case 1:
            text = random.one(of: [
                "UUID=ABCD-1", "LABEL=my data", "fstype:xfs", "/", "*", "/srv/*", "/dev/sda[12]",
            ])
        case 2, 3:
            text = "\(random.below(100))" + random.one(of: ["s", "m", "h", "ms", "", "m30s", "h5m1s2ms", "s5m"])
        default: return FuzzInput(mutation.mutated(Array("/srv/[a-c]*/1m30s".utf8), &random))
        }
        return FuzzInput(random.oneIn(2) ? Array(text.utf8) : mutation.mutated(Array(text.utf8), &random))
    }

    func check(_ input: FuzzInput) throws -> Verdict {
        let text = String(decoding: input.bytes, as: UTF8.self)
        let isDuration = try checkDuration(text)
        try checkGlob(text)
        do {
            let selector = try FilesystemSelector(parsing: text)
            try checkSelector(selector, text)
            return .accepted
        } catch let error as FilesystemSelector.ParseError {
            try checkRefusal(error)
            return isDuration ? .accepted : .refused
        }
    }

    private func checkDuration(_ text: String) throws -> Bool {
        do {
            let duration = try DurationText.parse(text)
            try require(duration > .zero && duration <= .seconds(86_400), "\(duration) is no duration to wait for")
            try require(
                try DurationText.parse(DurationText.text(duration)) == duration, "\(duration) does not come back")
            return true
        } catch let error as DurationText.ParseError {
            try checkRefusal(error)
            return false
        }
    }

    private func checkRefusal(_ error: some ActionableError) throws {
        try require(error.remedy?.isEmpty == false, "\(error): no remedy")
        for scalar in error.description.unicodeScalars {
            try require(scalar.properties.generalCategory != .control, "\(error) controls the terminal")
        }
    }

    private func checkSelector(_ selector: FilesystemSelector, _ text: String) throws {
        let mount = MountEntry(
            mountID: 21, parentID: 20, device: DeviceNumber(major: 8, minor: 1), root: "/", mountPoint: "/srv/a",
            mountOptions: "rw", filesystemType: "xfs", source: "/dev/sda1", superblockOptions: "rw")
        let identity = FilesystemIdentity(uuid: "ABCD-1", label: "my data")
        let inventory = StorageInventory(
            mounts: [mount], identities: [mount.device: identity],
            devicePaths: [mount.device: ["/dev/disk/by-id/x"]])
        guard let superblock = Superblock.all(in: inventory).first else { throw BrokenPromise("no superblock") }
        let matches = superblock.matches(selector)
        switch selector {
        case .uuid(let uuid): try require(matches == (uuid == "abcd-1"), "UUID: \(matches)")
        case .label(let label): try require(matches == (label == "my data"), "label: \(matches)")
        case .filesystemType(let type): try require(matches == (type == "xfs"), "type: \(matches)")
        case .mountPoint(let glob), .device(let glob):
            try require(selector.isSpecific == glob.isLiteral, "specific or not")
        }
        try require(
            !matches || selector.needsIdentity || selector.description != "/", "it matches what it does not name")
        // What is shown escaped says the same only where nothing was escaped.
        guard !selector.description.contains("\\") else { return }
        try require(
            try FilesystemSelector(parsing: selector.description) == selector, "\(selector) does not come back")
    }

    private func checkGlob(_ pattern: String) throws {
        // Whatever a name is, escaped it names itself and nothing longer.
        let scalars = pattern.unicodeScalars.map { "*?[]\\".unicodeScalars.contains($0) ? "\\\($0)" : "\($0)" }
        guard let literal = Glob(scalars.joined()) else { throw BrokenPromise("an escaped name is no pattern") }
        try require(literal.isLiteral && literal.matches(pattern), "an escaped name does not match itself")
        try require(!literal.matches(pattern + "x") && !literal.matches("x" + pattern), "a name matches another")

        guard let glob = Glob(pattern) else { return }
        for text in ["", "/", "/srv", "/srv/a/b", "ü", String(pattern.prefix(12))] {
            let matches = glob.matches(text)
            try require(
                !glob.isLiteral || !matches || pattern.contains("\\") || text == pattern, "\(glob) ~ \(text)")
            if let all = Glob("**\(pattern)**"), matches {
                try require(all.matches(text), "** takes away a match")
            }
        }
    }
}
