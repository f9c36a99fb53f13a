import FreezeCore
import SystemPackage

@testable import LinuxSystem

/// Mount tables: of our own namespace and of containers, which choose what is in them.
struct MountTableFuzz: ParserFuzz {
    static let name = "mountinfo"
    static let sources = [
        "LinuxSystem/MountTable.swift",
        "FreezeCore/Storage/DeviceNumber.swift", "FreezeCore/Storage/SuperblockOptions.swift",
    ]

    private let mutation = Mutation([
        " - ", " -", "/dev/root", " /dev/root ", "shared:1", "master:2", "ext4", "btrfs", "fuse.sshfs", "8:1",
        "0:30",
        "4095:1048575", "4096:0", "8:", ":", "\\040(deleted)", "//deleted", "\\134", "\\012", "\\", "\\000",
        "\\777",
        "36 35 98:0 / /mnt rw - ext4 /dev/sda rw\n", "#", "Filename\tType\n", "/dev/sda / ext4 rw 0 0\n",
        "ID=36 SRC=/dev/sda TARGET=/x ROOT=/ ATTRS=a OPTS=b\n",
    ])
    private static let types = [
        "ext4", "xfs", "btrfs", "vfat", "proc", "overlay", "nfs4", "autofs", "fuse.gvfs", "x y",
    ]
    private static let names = [
        "a", "mnt", "b c", "ü", "d\ne", "f\\g", "\t", "#h", "\u{1}", "x (deleted)", "-", "@",
        "a,ro", ",", "x,subvol=", ",upperdir=", ",subvolid=5,logdev=", "\\,", "\\054", " - ext4 x ro",
    ]
    private static let options = [
        "rw", "ro", "rw,relatime", "rw,subvol=/@home", "rw,size=1k,mode=755", "ro,a=b\\054c",
    ]

    func makeInput(_ random: inout SplitMix64) -> FuzzInput {
        let entries = entries(&random)
        let table = entries.flatMap { line(of: $0, &random) }
        switch random.below(6) {
        case 0, 1: return FuzzInput(table, isValid: true)
        case 2: return FuzzInput(mutation.mutatedBytes(table, &random))
        case 3, 4: return FuzzInput(mutation.mutated(table, &random))
        default:
            return FuzzInput(random.oneIn(2) ? mutation.mutated([], &random) : random.bytes(random.below(200)))
        }
    }

    /// A tree, as the kernel shows it.
    private func entries(_ random: inout SplitMix64) -> [MountEntry] {
        (0..<random.below(random.oneIn(200) ? 300 : 6)).map { index in
            let (type, root) = (random.one(of: Self.types), path(&random))
            return MountEntry(
                mountID: UInt64(20 + index), parentID: UInt64(index == 0 ? 1 : 20 + random.below(index)),
                device: DeviceNumber(
                    major: UInt32(random.below(4096)), minor: UInt32(random.below(random.oneIn(2) ? 64 : 1 << 20))),
                root: root, mountPoint: path(&random), mountOptions: random.one(of: Self.options),
                filesystemType: type,
                source: random.one(of: [
                    "/dev/sda1", "/dev/root", "none", "server:/a b", "", "a#b", "/dev/mapper/\u{1}x",
                ]),
                superblockOptions: superblockOptions(type, naming: root, &random))
        }
    }

    /// Options in the format of the filesystem's driver, with a name chosen by a user: the name of the entry's
    /// root.
    private func superblockOptions(
        _ type: String, naming root: FilePath, _ random: inout SplitMix64
    ) -> SuperblockOptions {
        let access = random.oneIn(3) ? "ro" : "rw"
        let name = Self.mangled(root.string)
        let escaped = name.replacing(",", with: "\\054")
        let text =
            switch type {
            // Not every kernel escapes the commas.
            case "btrfs": "\(access),ssd,subvolid=256,subvol=\(random.oneIn(2) ? name : escaped)"
            case "overlay": "\(access),lowerdir=\(escaped):/l,upperdir=\(escaped),workdir=/w,uuid=on"
            default: random.one(of: Self.options)
            }
        return SuperblockOptions(text.utf8)
    }

    private func path(_ random: inout SplitMix64) -> FilePath {
        let names = random.list(atMost: 3) { $0.one(of: Self.names) }
        return FilePath("/" + names.joined(separator: "/"))
    }

    /// As the kernel writes it (fs/proc_namespace.c: show_mountinfo, seq_escape).
    private func line(of entry: MountEntry, _ random: inout SplitMix64) -> [UInt8] {
        let propagation = random.list(atMost: 2) { $0.one(of: ["shared:7 ", "master:3 ", "unbindable "]) }.joined()
        let text = """
            \(entry.mountID) \(entry.parentID) \(entry.device) \(Self.mangled(entry.root.string)) \
            \(Self.mangled(entry.mountPoint.string)) \(entry.mountOptions) \(propagation)- \
            \(Self.mangled(entry.filesystemType)) \(Self.mangled(entry.source)) \(entry.superblockOptions)\n
            """
        return Array(text.utf8)
    }

    private static func mangled(_ text: String) -> String {
        text.replacing("\\", with: "\\134").replacing(" ", with: "\\040").replacing("\t", with: "\\011")
            .replacing("\n", with: "\\012").replacing("#", with: "\\043")
    }

    // MARK: Feeding

    func check(_ input: FuzzInput) throws -> Verdict {
        try checkSelection(input.bytes)
        let entries: [MountEntry]
        do throws(LinuxSystemError) {
            entries = try MountTable.parse(input.bytes, name: "/proc/1/mountinfo")
        } catch {
            try require(!input.isValid, "what the kernel writes is refused: \(error)")
            try require(
                error.code == .mountTable && error.subject == "/proc/1/mountinfo", "\(error) names no file")
            return .refused
        }
        let lines = input.bytes.split(separator: UInt8(ascii: "\n"))
        try require(entries.count == lines.count, "\(entries.count) entries of \(lines.count) lines")
        for (entry, line) in zip(entries, lines) {
            let fields = line.split(whereSeparator: { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") })
            let device = fields.count > 2 ? DeviceNumber(String(decoding: fields[2], as: UTF8.self)) : nil
            // What the kernel never writes libmount takes in part (8:1x), or cuts to a number's size.
            try require(
                device == entry.device || device == nil && Self.hasColon(fields),
                "\(entry.device) is not the device number of its line")
            try require(entry.mountPoint.isAbsolute, "\(entry.mountPoint.escaped) is not absolute")
        }
        if input.isValid { try checkRoundTrip(of: entries, input.bytes) }
        try checkPlan(of: entries)
        return .accepted
    }

    private static func hasColon(_ fields: [ArraySlice<UInt8>]) -> Bool {
        guard fields.count > 2 else { return false }
        let parts = fields[2].split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        return parts.count > 1
    }

    /// Written again as the kernel does it is the same table, propagation aside.
    private func checkRoundTrip(of entries: [MountEntry], _ bytes: [UInt8]) throws {
        var none = SplitMix64(seed: 0)
        let again = try MountTable.parse(entries.flatMap { line(of: $0, &none) })
        try require(again == entries, "the table does not come back")
        let fields = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { $0.split(separator: " ") }
        for (entry, fields) in zip(entries, fields) {
            try require(
                "\(entry.mountID)" == fields[0] && "\(entry.parentID)" == fields[1]
                    && Self.mangled(entry.root.string) == fields[3]
                    && Self.mangled(entry.mountPoint.string) == fields[4]
                    && entry.mountOptions == fields[5].replacing("\\054", with: ","),
                "an entry is not what its line says: \(entry)")
            let options = entry.superblockOptions
            try require(
                fields.last?.split(separator: ",").first == (options.isReadOnly ? "ro" : "rw"),
                "read-only or not: \(entry)")
            switch entry.filesystemType {
            case "btrfs":
                try require(
                    options.path("subvol") == entry.root && options.subvolumeID == 256
                        && options.path("upperdir") == nil && options.path("logdev") == nil,
                    "a subvolume's name is more than a name: \(entry)")
            case "overlay":
                try require(
                    options.path("upperdir") == entry.root && options.path("workdir") == "/w"
                        && options.path("subvol") == nil && options.path("logdev") == nil,
                    "a directory's name is more than a name: \(entry)")
            default: break
            }
        }
    }

    /// Whatever tree the ids form, a plan is made of it or refused.
    private func checkPlan(of entries: [MountEntry]) throws {
        let devices: [DeviceNumber]
        do throws(PlanError) {
            let plan = try FreezePlan.make(from: StorageInventory(mounts: entries), policy: PlanPolicy())
            devices = plan.filesystems.map(\.device)
        } catch {
            return try require(!error.description.isEmpty, "a plan is refused without a word")
        }
        try require(Set(devices).count == devices.count, "a superblock is planned twice")
    }

    /// The selection leaves out the lines on known devices, and all but the first line of each other device.
    private func checkSelection(_ bytes: [UInt8]) throws {
        let known: Set = [DeviceNumber(major: 8, minor: 1), DeviceNumber(major: 0, minor: 30)]
        let left = MountTable.lines(of: bytes, notOn: known)
        let all = bytes.split(separator: UInt8(ascii: "\n"))
        let expected = all.filter { line in
            let fields = line.split(separator: UInt8(ascii: " "))
            return !known.contains { fields.count > 2 && fields[2].elementsEqual("\($0)".utf8) }
        }
        let kept = left.split(separator: UInt8(ascii: "\n"))
        // A device number may be written in more than one way (08:1): then the line may be left out, too.
        try require(kept.count <= expected.count && left.count <= bytes.count + 1, "lines came from nowhere")
        let lines = MountTable.lines(of: bytes, notOn: []).split(separator: UInt8(ascii: "\n"))
        try require(Self.thirdFields(of: lines) == Self.thirdFields(of: all), "a device is lost")
    }

    /// Device numbers where possible; text elsewhere.
    private static func thirdFields(of lines: [ArraySlice<UInt8>]) -> Set<String> {
        Set(
            lines.compactMap { line in
                let fields = line.split(
                    separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: false)
                guard fields.count > 3 else { return nil }
                let field = String(decoding: fields[2], as: UTF8.self)
                return DeviceNumber(field)?.description ?? field
            })
    }
}
