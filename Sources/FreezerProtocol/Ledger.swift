import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// The shared record of who froze what: a small file on tmpfs, mapped by daemon and freezer, read after a crash.
///
/// Everything but the superblocks' words, the hooks' progress and the freezer's identity is fixed when it is made.
public final class Ledger: Sendable {
    public let requestID: String
    public let channel: String
    /// The options that a ledger keeps: see ``LedgerContents/options``.
    public let options: FreezeOptions
    /// The boot it was written in; in another one nothing of it is frozen any more.
    public let bootID: String
    public let superblocks: [LedgerContents.Superblock]
    public let hooks: [String]
    /// Which file it is, so that no later one is taken for it.
    let file: FileIdentity
    private let mapping: SharedMapping

    /// Maps a ledger that is whole already. The mapping needs the descriptor no longer than this takes.
    ///
    /// - Throws: `.malformed` if it is not a whole ledger of this version.
    public init(mapping descriptor: FileDescriptor, path: FilePath) throws(LedgerError) {
        do throws(Errno) {
            mapping = try SharedMapping(descriptor)
            file = try FileIdentity(descriptor)
        } catch {
            throw LedgerError(
                .malformed, path, "the ledger cannot be mapped",
                remedy: "Remove it if nothing is frozen; if something is, thaw it with `fsfreeze -u`.",
                underlyingError: error)
        }
        guard let reader = LedgerReader(mapping) else {
            throw LedgerError(
                .malformed, path, "this is not a ledger of this version of quiesce, or it is damaged",
                remedy: "Remove it if nothing is frozen; if something is, thaw it with `fsfreeze -u`.")
        }
        requestID = reader.requestID
        channel = reader.channel
        bootID = reader.bootID
        superblocks = reader.superblocks
        hooks = reader.hooks
        options = FreezeOptions(
            ledgerBits: mapping.load(at: LedgerLayout.Header.options), selection: reader.selection)
    }

    // MARK: Who

    /// The life of the daemon that made it.
    public var daemon: ProcessIdentity {
        LedgerWord(rawValue: mapping.load(at: LedgerLayout.Header.daemon)).process
    }

    /// The life of the freezer that works on it; nil before one does.
    public var freezer: ProcessIdentity? {
        let word = LedgerWord(rawValue: mapping.load(at: LedgerLayout.Header.freezer))
        return word.rawValue == 0 ? nil : word.process
    }

    public func setFreezer(_ process: ProcessIdentity) {
        mapping.store(LedgerWord(.planned, by: process).rawValue, at: LedgerLayout.Header.freezer)
    }

    // MARK: How it went

    /// Every outcome, at its number. 0 is none: the number before THAW has been answered with success.
    private static let outcomes: [WindowOutcome?] =
        [nil] + ConsistencyLevel.allCases.map(WindowOutcome.snapshot) + [.hooksHeld]

    /// The outcome of the window, once THAW has been answered with success.
    public var outcome: WindowOutcome? {
        let number = mapping.load(at: LedgerLayout.Header.outcome)
        return number < UInt64(Self.outcomes.count) ? Self.outcomes[Int(number)] : nil
    }

    /// Whether an admin has ended the request with `quiescectl recover --force`.
    public var isEndedByHand: Bool {
        mapping.load(at: LedgerLayout.Header.outcome) == LedgerLayout.endedByHand
    }

    /// Tells the daemon, before its freezer is killed, why that happens. Changes nothing of a request with an outcome.
    public func setEndedByHand() {
        _ = mapping.exchange(at: LedgerLayout.Header.outcome, expected: 0, desired: LedgerLayout.endedByHand)
    }

    public func setOutcome(_ outcome: WindowOutcome) {
        guard let number = Self.outcomes.firstIndex(of: outcome) else { return }
        mapping.store(UInt64(number), at: LedgerLayout.Header.outcome)
    }

    /// Whether the kernel hurries for this request: a setting that outlives who turned it on.
    public var expeditesRCU: Bool { mapping.load(at: LedgerLayout.Header.expeditesRCU) != 0 }

    public func setExpeditesRCU(_ expedites: Bool) {
        mapping.store(expedites ? 1 : 0, at: LedgerLayout.Header.expeditesRCU)
    }

    // MARK: Superblocks

    public func word(_ index: Int) -> LedgerWord {
        LedgerWord(rawValue: mapping.load(at: LedgerLayout.superblock(index) + LedgerLayout.Superblock.word))
    }

    /// Moves a superblock on, if nobody else did meanwhile; tells whether it did.
    public func advance(_ index: Int, from expected: LedgerWord, to next: LedgerWord) -> Bool {
        mapping.exchange(
            at: LedgerLayout.superblock(index) + LedgerLayout.Superblock.word, expected: expected.rawValue,
            desired: next.rawValue)
    }

    /// Whether every superblock is frozen, by one and the same process.
    public func allFrozen(by process: ProcessIdentity) -> Bool {
        superblocks.indices.allSatisfy { word($0) == LedgerWord(.frozen, by: process) }
    }

    /// Keeps everything that was not begun from being begun: by a freezer that is about to die, or that has an order
    /// still to read.
    public func fencePlanned(by process: ProcessIdentity) {
        for index in superblocks.indices {
            let before = word(index)
            if before.state == .planned { _ = advance(index, from: before, to: LedgerWord(.thawed, by: process)) }
        }
    }

    /// The superblocks in which something of ours may be left.
    public var unsettled: [Int] {
        superblocks.indices.filter { word($0).state?.isSettled != true }
    }

    // MARK: Hooks

    public func hookProgress(_ index: Int) -> HookProgress {
        HookProgress(rawValue: mapping.load(at: hookRecord(index) + LedgerLayout.Hook.progress)) ?? .started
    }

    public func setHookProgress(_ index: Int, _ progress: HookProgress) {
        mapping.store(progress.rawValue, at: hookRecord(index) + LedgerLayout.Hook.progress)
    }

    /// The hooks that were started and not yet called for thaw, in the order of their thaw. Session hooks are not called:
    /// they end when their standard input does, with the daemon's life if need be.
    public var hooksOwedThaw: [Int] {
        hooks.indices.reversed().filter { hookProgress($0) == .started && HookKind(hookName: hooks[$0]) == .plain }
    }

    /// The process of its last call; nil before the first. It may have ended long ago.
    public func hookProcess(_ index: Int) -> ProcessIdentity? {
        let word = LedgerWord(rawValue: mapping.load(at: hookRecord(index) + LedgerLayout.Hook.process))
        return word.rawValue == 0 ? nil : word.process
    }

    public func setHookProcess(_ index: Int, _ process: ProcessIdentity) {
        mapping.store(
            LedgerWord(.planned, by: process).rawValue, at: hookRecord(index) + LedgerLayout.Hook.process)
    }

    private func hookRecord(_ index: Int) -> Int {
        LedgerLayout.hook(index, superblocks: superblocks.count)
    }
}

/// Reads and checks the fixed part of a ledger.
private struct LedgerReader {
    var requestID = ""
    var channel = ""
    var bootID = ""
    var superblocks: [LedgerContents.Superblock] = []
    var hooks: [String] = []
    var selection: [FilePath] = []
    private let mapping: SharedMapping

    /// Nil if anything points outside the file or makes no sense.
    init?(_ mapping: SharedMapping) {
        self.mapping = mapping
        typealias Header = LedgerLayout.Header
        let size = mapping.bytes.count
        guard size >= Header.length, mapping.load(at: Header.magic) == LedgerLayout.magic,
            mapping.load(at: Header.size) == UInt64(size),
            let superblockCount = count(at: Header.superblockCount, recordLength: LedgerLayout.Superblock.length),
            let hookCount = count(at: Header.hookCount, recordLength: LedgerLayout.Hook.length),
            LedgerLayout.text(superblocks: superblockCount, hooks: hookCount) <= size,
            let requestID = string(at: Header.requestID), let channel = string(at: Header.channel),
            let bootID = string(at: Header.bootID), let selection = text(at: Header.selection)
        else { return nil }
        self.requestID = requestID
        self.channel = channel
        self.bootID = bootID
        self.selection = selection.split(separator: 0).map { Self.path($0) }
        for index in 0..<superblockCount {
            let record = LedgerLayout.superblock(index)
            guard let mountPoint = path(at: record + LedgerLayout.Superblock.mountPoint),
                let step = Int(exactly: mapping.load(at: record + LedgerLayout.Superblock.step))
            else { return nil }
            let device = mapping.load(at: record + LedgerLayout.Superblock.device)
            let life = mapping.load(at: record + LedgerLayout.Superblock.life)
            superblocks.append(
                .init(
                    device: DeviceNumber(
                        major: UInt32(truncatingIfNeeded: device >> 32), minor: UInt32(truncatingIfNeeded: device)),
                    mountPoint: mountPoint, step: step, life: life == 0 ? nil : life))
        }
        for index in 0..<hookCount {
            guard
                let hook = string(
                    at: LedgerLayout.hook(index, superblocks: superblockCount) + LedgerLayout.Hook.name)
            else { return nil }
            hooks.append(hook)
        }
    }

    private func count(at offset: Int, recordLength: Int) -> Int? {
        guard let count = Int(exactly: mapping.load(at: offset)), count <= mapping.bytes.count / recordLength
        else { return nil }
        return count
    }

    private func text(at offset: Int) -> Slice<UnsafeMutableRawBufferPointer>? {
        guard let start = Int(exactly: mapping.load(at: offset)), start <= mapping.bytes.count,
            let length = Int(exactly: mapping.load(at: offset + 8)), length <= mapping.bytes.count - start
        else { return nil }
        return mapping.bytes[start..<(start + length)]
    }

    private func string(at offset: Int) -> String? {
        text(at: offset).map { String(decoding: $0, as: UTF8.self) }
    }

    private func path(at offset: Int) -> FilePath? {
        guard let text = text(at: offset), !text.contains(0) else { return nil }
        return Self.path(text)
    }

    /// - Parameter bytes: Without a NUL.
    private static func path(_ bytes: Slice<UnsafeMutableRawBufferPointer>) -> FilePath {
        (bytes.map(CChar.init(bitPattern:)) + [0]).withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map(FilePath.init(platformString:)) ?? ""
        }
    }
}
