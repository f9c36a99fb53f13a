import SystemPackage

// Each test target that needs this has a link to it, as to Needs.swift.

/// The repository that the tests belong to: what its pages say is checked against the code.
enum Repository {
    static let root = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()

    /// - Parameter name: A file's path from the repository's root on.
    static func text(_ name: String) throws -> String {
        let descriptor = try FileDescriptor.open(root.appending(name), .readOnly)
        return try descriptor.closeAfter {
            var bytes: [UInt8] = []
            while true {
                let part = try [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
                    count = try descriptor.read(into: UnsafeMutableRawBufferPointer(buffer))
                }
                if part.isEmpty { return String(decoding: bytes, as: UTF8.self) }
                bytes += part
            }
        }
    }

    /// The rows of all tables in a Markdown page, each with its cells. Heads are rows, too.
    static func tableRows(_ page: String) throws -> [[String]] {
        try text(page).split(separator: "\n").filter { $0.hasPrefix("| ") }.map { row in
            row.split(separator: "|").map(\.trimmed)
        }
    }
}

extension Substring {
    /// Without blanks at both ends.
    var trimmed: String {
        let start = drop { $0 == " " }
        return String(start.reversed().drop { $0 == " " }.reversed())
    }
}

extension String {
    /// What is between the backticks of Markdown; nil if it is not in such.
    var code: String? {
        guard count > 2, hasPrefix("`"), hasSuffix("`") else { return nil }
        return String(dropFirst().dropLast())
    }
}
