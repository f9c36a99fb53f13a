import FreezeCore
import LinuxCalls
import SystemPackage

@testable import LinuxSystem

/// udev's database: it holds what is written on a disk that somebody plugs in.
struct UdevFuzz: ParserFuzz {
    static let name = "udev"
    static let sources = ["LinuxSystem/UdevDatabase.swift"]

    private let database: TemporaryDirectory
    private let mutation = Mutation([
        "E:", "S:", "ID_FS_UUID=", "ID_FS_UUID_ENC=", "ID_FS_LABEL_ENC=", "ID_FS_TYPE=", "\\x2f", "\\x", "\\x5",
        "\\xZZ",
        "\\xff", "\\x+1", "=", "disk/by-id/x",
    ])

    init() throws {
        database = try TemporaryDirectory()
    }

    func makeInput(_ random: inout SplitMix64) -> FuzzInput {
        let lines = random.list(atMost: 8) { random in
            random.one(of: [
                "S:disk/by-uuid/\(random.below(99))", "E:ID_FS_UUID=5a7b", "E:ID_FS_UUID_ENC=5a\\x2f7b",
                "E:ID_FS_LABEL=my_data", "E:ID_FS_LABEL_ENC=my\\x20d\\xc3\\xa4ta", "E:ID_FS_TYPE=xfs",
                "E:ID_PART_ENTRY_TYPE=C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "N:sda1", "I:123", "E:EMPTY=",
                "G:systemd",
            ])
        }
        let text = Array((lines.joined(separator: "\n") + "\n").utf8)
        return FuzzInput(random.oneIn(3) ? text : mutation.mutated(text, &random))
    }

    func check(_ input: FuzzInput) throws -> Verdict {
        let text = String(decoding: input.bytes, as: UTF8.self)
        let record = UdevRecord(parsing: text)
        try checkFile(input.bytes, record)
        let lines = text.split(separator: "\n")
        let links = lines.filter { $0.hasPrefix("S:") }.map { String($0.dropFirst(2)) }
        try require(record.links == links, "links that udev does not name")
        for (name, value) in record.properties {
            try require(text.contains("E:\(name)=\(value)"), "\(name): not what udev says")
        }
        guard let identity = record.identity else { return .refused }
        try require(
            record.properties["ID_FS_TYPE"] != nil || record.properties["ID_FS_UUID"] != nil,
            "an identity where udev knows no filesystem")
        if let label = record.properties["ID_FS_LABEL_ENC"], !label.contains("\\") {
            try require(identity.label == label, "a plain label was changed")
        }
        return .accepted
    }

    /// From a file it says the same. A few times only: the rest is the file system's.
    private func checkFile(_ bytes: [UInt8], _ record: UdevRecord) throws {
        var random = SplitMix64(of: bytes)
        guard random.oneIn(100) else { return }
        let device = DeviceNumber(major: 8, minor: 1)
        let file = try openDescriptor(
            database.path.appending("b8:1"), .writeOnly, options: [.create, .truncate],
            permissions: .ownerReadWrite)
        try file.closeAfter { try writeAll(bytes, to: file) }
        try require(UdevRecord.read(device, in: database.path) == record, "a file says something else")
        let unknown = DeviceNumber(major: 8, minor: 2)
        try require(
            UdevRecord.read(unknown, in: database.path) == nil, "a device that udev does not know is known")
    }
}
