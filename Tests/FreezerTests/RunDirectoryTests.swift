import FreezerProtocol
import Glibc
import LinuxCalls
import SystemPackage
import Testing

/// The run directory must be private, and never be frozen itself.
@Suite struct RunDirectoryTests {
    private let scratch: LedgerScratch

    init() throws {
        scratch = try LedgerScratch()
    }

    private func refusal(_ path: FilePath, creating: Bool = false) -> LedgerError? {
        #expect(throws: LedgerError.self) { try RunDirectory(path, creating: creating) }
    }

    @Test func `it is made private if it is not there`() throws {
        let path = scratch.path.appending("made")
        defer { rmdir(path.string) }
        #expect(refusal(path)?.isMissingDirectory == true)
        _ = try RunDirectory(path, creating: true)
        _ = try RunDirectory(path, creating: true)
        var status = stat()
        #expect(lstat(path.string, &status) == 0 && status.st_mode & 0o777 == 0o700)
        #expect(try #require(refusal(path.appending("a/b"), creating: true)).subject.hasSuffix("a/b"))
    }

    @Test(arguments: [0o755, 0o710, 0o702, 0o704, 0o770])
    func `others must not look or reach into it`(mode: mode_t) {
        chmod(scratch.path.string, mode)
        #expect(refusal(scratch.path)?.code == .runDirectoryUnusable)
        chmod(scratch.path.string, 0o700)
        #expect(throws: Never.self) { try scratch.runDirectory() }
    }

    @Test(.needsRoot(toTest: "a run directory that is somebody else's"))
    func `it must not be somebody else's`() {
        chown(scratch.path.string, 65534, 65534)
        #expect(refusal(scratch.path)?.code == .runDirectoryUnusable)
        chown(scratch.path.string, 0, 0)
    }

    @Test func `neither a file nor a link to a directory will do`() throws {
        let file = scratch.path.appending("file")
        try openDescriptor(file, .writeOnly, options: .create, permissions: .ownerReadWrite).close()
        #expect(refusal(file)?.code == .runDirectoryUnusable)
        let link = scratch.path.appending("link")
        #expect(symlink(scratch.path.string, link.string) == 0)
        #expect(refusal(link)?.code == .runDirectoryUnusable)
    }

    @Test(
        .needs("a /var/tmp on a disk", toTest: "a run directory that could be frozen itself") {
            (try? FilePath("/var/tmp").isOnMemoryFilesystem()) == false
        })
    func `one that could be frozen itself is refused`() throws {
        let onDisk = try LedgerScratch(below: "/var/tmp")
        #expect(refusal(onDisk.path)?.code == .notOnTmpfs)
    }

    @Test func `one daemon at a time holds the lock`() throws {
        let directory = try scratch.runDirectory()
        let lock = try directory.lock()
        let error = #expect(throws: LedgerError.self) { try directory.lock() }
        #expect(error?.code == .inUse)
        try lock.close()
        try directory.lock().close()
    }

    @Test func `P1 the lock of a process that is dead is taken, and only one daemon takes it`() throws {
        let directory = try scratch.runDirectory()
        let path = directory.path.appending("lock")
        // State left by a killed holder that hangs in the kernel: the file is locked, and names a dead process.
        let held = try directory.lock()
        try writeAll(Array("\(getpid()) 1\n".utf8), to: try openDescriptor(path, .writeOnly, options: .truncate))
        let lock = try directory.lock()
        let error = #expect(throws: LedgerError.self) { try directory.lock() }
        #expect(error?.code == .inUse)
        try held.close()
        #expect(throws: LedgerError.self) { try directory.lock() }
        try lock.close()
        try directory.lock().close()
    }

    @Test(arguments: ["", "nonsense", "1", "-1 -1 -1"])
    func `a lock file that is held and names no process is kept`(text: String) throws {
        let directory = try scratch.runDirectory()
        let held = try directory.lock()
        let file = try openDescriptor(directory.path.appending("lock"), .writeOnly, options: .truncate)
        try writeAll(Array(text.utf8), to: file)
        try file.close()
        let error = #expect(throws: LedgerError.self) { try directory.lock() }
        #expect(error?.code == .inUse)
        try held.close()
    }

    @Test func `a ledger of an earlier boot is removed unread`() throws {
        let directory = try scratch.runDirectory()
        _ = try directory.createLedger(.sample(superblocks: 1))
        var bytes = try readWholeFile(directory.ledgerPath)
        let boot = try #require(bytes.firstRange(of: Array(directory.bootID.utf8)))
        bytes[boot.lowerBound] ^= 1
        let file = try openDescriptor(directory.ledgerPath, .writeOnly)
        try writeAll(bytes, to: file)
        try file.close()
        #expect(try directory.openLedger() == nil)
        #expect(access(directory.ledgerPath.string, F_OK) != 0)
    }

    @Test func `no ledger is no error, and neither is removing one that is gone`() throws {
        let directory = try scratch.runDirectory()
        #expect(try directory.openLedger() == nil)
        let ledger = try directory.createLedger(.sample(superblocks: 1)).ledger
        directory.remove(ledger)
        directory.remove(ledger)
        #expect(try directory.openLedger() == nil)
    }

    @Test func `removing a ledger leaves a later one alone`() throws {
        let directory = try scratch.runDirectory()
        let earlier = try directory.createLedger(.sample(superblocks: 1)).ledger
        _ = try directory.createLedger(.sample(superblocks: 2))
        directory.remove(earlier)
        #expect(try directory.openLedger()?.superblocks.count == 2)
    }

    @Test func `a damaged ledger is kept for a human`() throws {
        let directory = try scratch.runDirectory()
        _ = try directory.createLedger(.sample(superblocks: 1))
        let aside = try directory.setAsideDamagedLedger()
        #expect(try directory.openLedger() == nil)
        #expect(access(aside.string, F_OK) == 0)
    }

    @Test func `a ledger that was not finished is removed, a whole one is not`() throws {
        let directory = try scratch.runDirectory()
        try directory.createLedger(.sample(superblocks: 1)).descriptor.close()
        let unfinished = directory.path.appending("ledger.new")
        try openDescriptor(unfinished, .writeOnly, options: [.create], permissions: .ownerReadWrite).close()
        directory.removeUnfinishedLedger()
        #expect(access(unfinished.string, F_OK) != 0)
        #expect(try directory.openLedger() != nil)
    }

    @Test func `nobody is followed to another file`() throws {
        let directory = try scratch.runDirectory()
        let target = scratch.path.appending("target")
        #expect(symlink(target.string, directory.path.appending("ledger.new").string) == 0)
        let error = #expect(throws: LedgerError.self) { try directory.createLedger(.sample(superblocks: 1)) }
        #expect(error?.code == .cannotCreate && error?.underlyingError == .tooManySymbolicLinkLevels)
        #expect(symlink(target.string, directory.ledgerPath.string) == 0)
        #expect(throws: LedgerError.self) { try directory.openLedger() }
        #expect(access(target.string, F_OK) != 0)
    }
}
