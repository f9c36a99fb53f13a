import Foundation
import Synchronization
import SystemPackage

/// A pool of data exchange, with a record of another program, and the host that reads the pool.
final class ScratchPool: Sendable {
    private static let count = Atomic(0)
    private static let recordSize = 2560
    private static let keySize = 512

    private let directory: FilePath
    let path: FilePath

    init() throws {
        try ScratchWorld.require()
        directory = FilePath("/var/lib/hyperv-\(Self.count.add(1, ordering: .relaxed).newValue)")
        path = directory.appending(".kvp_pool_1")
        try RunningProgram.output(of: "mkdir", [directory.string])
        try Self.foreign.write(to: URL(fileURLWithPath: path.string))
    }

    /// The section `[kvp]`.
    var configuration: String { "enabled = true\npool = \"\(path)\"" }

    private static let foreign = field("foreign", keySize) + field("record", recordSize - keySize)

    private static func field(_ text: String, _ size: Int) -> Data {
        Data(text.utf8) + Data(count: size - text.utf8.count)
    }

    var bytes: Data { get throws { try Data(contentsOf: URL(fileURLWithPath: path.string)) } }

    var isForeignUntouched: Bool { get throws { try bytes.prefix(Self.recordSize) == Self.foreign } }

    // MARK: The host

    private var records: [(key: String, value: String)] {
        get throws {
            let bytes = try bytes
            return stride(from: 0, through: bytes.count - Self.recordSize, by: Self.recordSize).map { start in
                let record = bytes[start..<(start + Self.recordSize)]
                let (key, value) = (record.prefix(Self.keySize), record.dropFirst(Self.keySize))
                return (
                    String(decoding: key.prefix { $0 != 0 }, as: UTF8.self),
                    String(decoding: value.prefix { $0 != 0 }, as: UTF8.self)
                )
            }
        }
    }

    var keys: [String] { get throws { try records.map(\.key) } }

    /// Waits for the state, and for a summary of the same state.
    ///
    /// - Returns: The summary.
    @discardableResult
    func wait(for state: String, where isMeant: ([String: Any]) -> Bool) throws -> [String: Any] {
        var found: [String: Any] = [:]
        try EndToEndTests.wait(for: "the state \(state) in \(try records.dropFirst())") {
            let records = Dictionary(try records) { $1 }
            guard records["quiesce.state"] == state, let text = records["quiesce.summary"] else { return false }
            found = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
            return found["state"] as? String == state && isMeant(found)
        }
        return found
    }

    // MARK: Other programs

    /// - Parameter command: A shell command that replaces `$POOL`, in `$DIRECTORY`.
    func replace(by command: String) throws {
        let script = "set -o pipefail; rm $POOL; \(command)"
        try RunningProgram.output(
            of: "env", ["POOL=\(path)", "DIRECTORY=\(directory)", "bash", "-c", script])
    }

    /// Holds the lock of flock(2) until the end of the input.
    func lock() throws -> RunningProgram {
        let holder = try RunningProgram("flock", [path.string, "sh", "-c", "echo held; exec cat"])
        try holder.waitForLine(in: .output) { $0 == "held" }
        return holder
    }

    func remove() throws {
        try RunningProgram.output(
            of: "sh", ["-c", "umount \(directory) 2>/dev/null; rm -r \(directory)"])
    }
}
