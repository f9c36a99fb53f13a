import FreezeCore
import SystemPackage

/// Where things are in a ledger's bytes. All numbers are 64 bits in the machine's order: a ledger never leaves it.
///
/// ```
/// header        fixed words, see below
/// superblocks   one record each: word, device, step, life, mount point (offset, length)
/// hooks         one record each: progress, process, name (offset, length)
/// text          the bytes that the records point to
/// ```
enum LedgerLayout {
    /// "QUIESCE" and the layout's version.
    static let magic: UInt64 = 0x5155_4945_5343_4505

    /// In the place of the outcome. Readers that do not know the number take it for no outcome.
    static let endedByHand = UInt64.max

    enum Header {
        static let magic = 0
        static let size = 8
        static let daemon = 16
        static let freezer = 24
        static let superblockCount = 32
        static let hookCount = 40
        static let bootID = 48
        static let requestID = 64
        static let channel = 80
        static let outcome = 96
        static let expeditesRCU = 104
        static let options = 112
        /// Mount points, each followed by a NUL; empty without a selection.
        static let selection = 120
        static let length = 136
    }

    /// The bits of the options.
    enum Option {
        static let freezesNothing: UInt64 = 1
        static let rehearsal: UInt64 = 2
    }

    enum Superblock {
        static let word = 0
        static let device = 8
        static let step = 16
        static let life = 24
        static let mountPoint = 32
        static let length = 48
    }

    enum Hook {
        static let progress = 0
        static let process = 8
        static let name = 16
        static let length = 32
    }

    static func superblock(_ index: Int) -> Int {
        Header.length + index * Superblock.length
    }

    static func hook(_ index: Int, superblocks: Int) -> Int {
        superblock(superblocks) + index * Hook.length
    }

    static func text(superblocks: Int, hooks: Int) -> Int {
        hook(hooks, superblocks: superblocks)
    }
}

/// Lays a ledger out.
struct LedgerEncoder {
    private(set) var bytes: [UInt8]
    private var text: [UInt8] = []
    private let textStart: Int

    init(_ contents: LedgerContents, bootID: String) {
        textStart = LedgerLayout.text(superblocks: contents.superblocks.count, hooks: contents.hooks.count)
        bytes = [UInt8](repeating: 0, count: textStart)
        typealias Header = LedgerLayout.Header
        put(LedgerLayout.magic, at: Header.magic)
        put(LedgerWord(.planned, by: contents.daemon).rawValue, at: Header.daemon)
        put(UInt64(contents.superblocks.count), at: Header.superblockCount)
        put(UInt64(contents.hooks.count), at: Header.hookCount)
        putText(Array(bootID.utf8), at: Header.bootID)
        putText(Array(contents.requestID.utf8), at: Header.requestID)
        putText(Array(contents.channel.utf8), at: Header.channel)
        put(contents.options.ledgerBits, at: Header.options)
        putText((contents.options.mountPoints ?? []).flatMap { $0.bytes + [0] }, at: Header.selection)
        for (index, superblock) in contents.superblocks.enumerated() {
            let record = LedgerLayout.superblock(index)
            put(
                LedgerWord(.planned, by: contents.daemon).rawValue, at: record + LedgerLayout.Superblock.word)
            put(
                UInt64(superblock.device.major) << 32 | UInt64(superblock.device.minor),
                at: record + LedgerLayout.Superblock.device)
            put(UInt64(superblock.step), at: record + LedgerLayout.Superblock.step)
            put(superblock.life ?? 0, at: record + LedgerLayout.Superblock.life)
            putText(
                superblock.mountPoint.bytes,
                at: record + LedgerLayout.Superblock.mountPoint)
        }
        for (index, hook) in contents.hooks.enumerated() {
            let record = LedgerLayout.hook(index, superblocks: contents.superblocks.count)
            put(contents.progress(ofHook: hook).rawValue, at: record + LedgerLayout.Hook.progress)
            putText(Array(hook.utf8), at: record + LedgerLayout.Hook.name)
        }
        bytes += text
        // mmap gives whole pages; whole words keep the last access inside the file.
        bytes += [UInt8](repeating: 0, count: (8 - bytes.count % 8) % 8)
        put(UInt64(bytes.count), at: Header.size)
    }

    private mutating func put(_ value: UInt64, at offset: Int) {
        withUnsafeBytes(of: value) { bytes.replaceSubrange(offset..<(offset + 8), with: $0) }
    }

    private mutating func putText(_ value: [UInt8], at offset: Int) {
        put(UInt64(textStart + text.count), at: offset)
        put(UInt64(value.count), at: offset + 8)
        text += value
    }
}

extension FreezeOptions {
    fileprivate var ledgerBits: UInt64 {
        typealias Option = LedgerLayout.Option
        return (freezes ? 0 : Option.freezesNothing) | (isRehearsal ? Option.rehearsal : 0)
    }

    init(ledgerBits: UInt64, selection: [FilePath]) {
        typealias Option = LedgerLayout.Option
        self.init(
            mountPoints: selection.isEmpty ? nil : selection, freezes: ledgerBits & Option.freezesNothing == 0,
            isRehearsal: ledgerBits & Option.rehearsal != 0)
    }
}
