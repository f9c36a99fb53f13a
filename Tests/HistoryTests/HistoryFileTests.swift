import FreezeCore
import Glibc
import LinuxCalls
import Synchronization
import SystemPackage
import Testing

@testable import History

@Suite struct HistoryFileTests {
    let directory: ScratchDirectory
    let path: FilePath

    init() throws {
        directory = try ScratchDirectory()
        path = directory.path.appending("state").appending("history.jsonl")
    }

    private func record(_ id: String) -> RequestRecord {
        RequestRecord.success(id)
    }

    private func mode(_ path: FilePath) -> mode_t {
        var status = stat()
        return lstat(path.string, &status) == 0 ? status.st_mode : 0
    }

    private func put(_ text: String, at path: FilePath? = nil, appending: Bool = false) throws {
        mkdir(self.path.removingLastComponent().string, 0o700)
        let descriptor = try openDescriptor(
            path ?? self.path, .writeOnly, options: appending ? [.create, .append] : [.create, .truncate],
            permissions: .ownerReadWrite)
        try descriptor.closeAfter { _ = try descriptor.writeAll(text.utf8) }
    }

    private func limits(records: Int = 1000, bytes: Int64 = 16 << 20) -> HistoryFile.Limits {
        var limits = HistoryFile.Limits()
        limits.records = records
        limits.bytes = bytes
        return limits
    }

    // MARK: Writing and reading

    @Test func makesDirectoryAndFilePrivate() throws {
        let file = HistoryFile(path)
        #expect(try file.last() == HistoryMatch(record: nil, unreadableLines: 0))
        try file.append(record("a"))
        try file.append(record("b"))
        #expect(mode(path.removingLastComponent()) == S_IFDIR | 0o700)
        #expect(mode(path) == S_IFREG | 0o600)
        #expect(try file.last().record == record("b"))
        #expect(try file.record(id: "a").record == record("a"))
        #expect(try file.record(id: "c").record == nil)
        #expect(try file.records().records.map(\.id.text) == ["b", "a"])
        #expect(try file.records(limit: 1).records.map(\.id.text) == ["b"])
    }

    @Test func `the requests that decide the state of the backups, wherever they are`() throws {
        let held = HistoryFile(directory.path.appending("held.jsonl"))
        let file = HistoryFile(path, held: held)
        #expect(try file.recentRequests() == RecentRequests())
        var (failed, rehearsal, part) = (record("b"), record("c"), record("d"))
        failed.result = .failed
        rehearsal.options.isRehearsal = true
        part.options.mountPoints = ["/srv"]
        for record in [record("z"), record("a"), failed, rehearsal] { try file.append(record) }
        try file.hold(part)
        let recent = try file.recentRequests()
        #expect(recent.last?.id.text == "d")
        #expect(recent.lastWhole?.id.text == "b")
        #expect(recent.lastGood?.id.text == "a")
        #expect(!recent.isPartlyUnknown)
    }

    @Test func `P2 an unreadable line since the last good backup may have been a failure`() throws {
        let file = HistoryFile(path)
        try put("garbage\n", appending: true)
        try file.append(record("a"))
        #expect(try !file.recentRequests().isPartlyUnknown)
        try put("garbage\n", appending: true)
        var recent = try file.recentRequests()
        #expect(recent.isPartlyUnknown && recent.lastGood?.id.text == "a")
        recent.add(newer: record("b"))
        #expect(!recent.isPartlyUnknown)
    }

    @Test func `no more records are read than a history keeps`() throws {
        let file = HistoryFile(path, limits: limits(records: 5000))
        var failed = record("b")
        failed.result = .failed
        try file.append(record("a"))
        for _ in 0..<HistoryFile.Limits().records { try file.append(failed) }
        #expect(try file.recentRequests().lastGood == nil)
        #expect(try file.recentRequests().last?.id.text == "b")
    }

    @Test func tornLastLineIsPassedOverAndSwallowsNothing() throws {
        try HistoryFile(path).append(record("a"))
        try put(String(String(decoding: record("torn").line(), as: UTF8.self).dropLast(40)), appending: true)
        #expect(try HistoryFile(path).last() == HistoryMatch(record: record("a"), unreadableLines: 1))
        try HistoryFile(path).append(record("b"))
        #expect(
            try HistoryFile(path).records()
                == HistoryPage(records: [record("b"), record("a")], unreadableLines: 1))
    }

    @Test(arguments: [
        "garbage", "{}", "null", "\u{0}\u{0}\u{0}", "{\"version\":1}", String(repeating: "[", count: 3000),
    ])
    func garbageIsCountedAndPassedOver(_ garbage: String) throws {
        let file = HistoryFile(path)
        try file.append(record("a"))
        try put(garbage + "\n\n" + garbage + "\n", appending: true)
        try file.append(record("b"))
        try put(garbage, appending: true)
        #expect(try file.records() == HistoryPage(records: [record("b"), record("a")], unreadableLines: 3))
    }

    @Test func lineLongerThanAnyRecordIsPassedOver() throws {
        let file = HistoryFile(path)
        try file.append(record("a"))
        try put(String(repeating: "x", count: 3_000_000) + "\n", appending: true)
        try file.append(record("b"))
        #expect(try file.records() == HistoryPage(records: [record("b"), record("a")], unreadableLines: 1))
    }

    // MARK: Bounds

    @Test func keepsTheNewestHalfWhenThereAreTooMany() throws {
        let file = HistoryFile(path, limits: limits(records: 10))
        for number in 1...11 { try file.append(record("\(number)")) }
        #expect(try file.records().records.map(\.id.text) == ["11", "10", "9", "8", "7"])
        // Another life of the daemon has to count them first.
        let next = HistoryFile(path, limits: limits(records: 10))
        for number in 12...16 { try next.append(record("\(number)")) }
        #expect(try next.records().records.count == 10)
        try next.append(record("17"))
        #expect(try next.records().records.map(\.id.text) == ["17", "16", "15", "14", "13"])
        #expect(mode(path) == S_IFREG | 0o600)
    }

    @Test func keepsHalfTheBytesWhenItIsTooLong() throws {
        let length = Int64(record("100").line().count + 1)
        let file = HistoryFile(path, limits: limits(bytes: length * 10))
        for number in 100..<111 { try file.append(record("\(number)")) }
        #expect(try file.records().records.map(\.id.text) == ["110", "109", "108", "107", "106"])
        // One record that is longer than all that may be kept is still kept.
        let tiny = HistoryFile(path, limits: limits(bytes: 10))
        try tiny.append(record("111"))
        #expect(try tiny.records().records.map(\.id.text) == ["111"])
    }

    @Test func whatACrashLeftOfTrimmingHarmsNothing() throws {
        let file = HistoryFile(path, limits: limits(records: 3))
        for number in 1...3 { try file.append(record("\(number)")) }
        let new = FilePath(path.string + ".new")
        try put("half of a li", at: new)
        #expect(try file.records().records.map(\.id.text) == ["3", "2", "1"])
        try file.append(record("4"))
        #expect(try file.records() == HistoryPage(records: [record("4")], unreadableLines: 0))
        #expect(mode(new) == 0)
    }

    @Test func trimmingFollowsNoLink() throws {
        let victim = directory.path.appending("victim")
        try put("precious", at: victim)
        let file = HistoryFile(path, limits: limits(records: 1))
        try file.append(record("1"))
        symlink(victim.string, path.string + ".new")
        try file.append(record("2"))
        #expect(try readWholeFile(victim) == Array("precious".utf8))
        #expect(try file.records().records.map(\.id.text) == ["2"])
    }

    // MARK: What can go wrong

    @Test func diskFullLosesNothing() throws {
        let full = Mutex(false)
        let fullAfter = 100
        let file = HistoryFile(path, limits: limits()) { (bytes, descriptor) throws(Errno) in
            guard full.withLock({ $0 }) else { return try writeAll(bytes, to: descriptor) }
            try writeAll(Array(bytes.prefix(fullAfter)), to: descriptor)
            throw .noSpace
        }
        try file.append(record("a"))
        let before = try readWholeFile(path)
        full.withLock { $0 = true }
        let error = #expect(throws: HistoryError.self) { try file.append(record("b")) }
        #expect(error?.code == .notWritten && error?.underlyingError == .noSpace)
        #expect(error?.description.contains("history.jsonl") == true)
        #expect(error?.remedy == "Free some space on its filesystem.")
        #expect(try readWholeFile(path) == before)
        full.withLock { $0 = false }
        try file.append(record("c"))
        #expect(try file.records() == HistoryPage(records: [record("c"), record("a")], unreadableLines: 0))
    }

    @Test func diskFullWhileTrimmingLosesNothing() throws {
        let writes = Mutex(0)
        let file = HistoryFile(path, limits: limits(records: 2)) { (bytes, descriptor) throws(Errno) in
            let number = writes.withLock { count -> Int in
                count += 1
                return count
            }
            if number == 4 { throw .noSpace }
            try writeAll(bytes, to: descriptor)
        }
        try file.append(record("1"))
        try file.append(record("2"))
        let error = #expect(throws: HistoryError.self) { try file.append(record("3")) }
        #expect(error?.code == .notTrimmed)
        #expect(try file.records().records.map(\.id.text) == ["3", "2", "1"])
        #expect(mode(FilePath(path.string + ".new")) == 0)
        try file.append(record("4"))
        #expect(try file.records().records.map(\.id.text) == ["4"])
    }

    @Test func stateDirectoryThatCannotBeMadeIsNamed() throws {
        let error = #expect(throws: HistoryError.self) {
            try HistoryFile("/proc/quiesce-test/history.jsonl").append(record("a"))
        }
        #expect(error?.code == .directoryUnusable && error?.subject == "/proc/quiesce-test")
        let missing = directory.path.appending("no/such/history.jsonl")
        let second = #expect(throws: HistoryError.self) { try HistoryFile(missing).append(record("a")) }
        #expect(second?.code == .directoryUnusable && second?.underlyingError == .noSuchFileOrDirectory)
    }

    @Test func linkInPlaceOfTheFileIsNotFollowed() throws {
        let victim = directory.path.appending("victim")
        try put("precious", at: victim)
        symlink(victim.string, path.string)
        let writing = #expect(throws: HistoryError.self) { try HistoryFile(path).append(record("a")) }
        #expect(writing?.underlyingError == .tooManySymbolicLinkLevels)
        let reading = #expect(throws: HistoryError.self) { try HistoryFile(path).last() }
        #expect(reading?.code == .unreadable)
        #expect(try readWholeFile(victim) == Array("precious".utf8))
    }

    @Test func fifoInPlaceOfTheFileHangsNobody() throws {
        mkdir(path.removingLastComponent().string, 0o700)
        mkfifo(path.string, 0o600)
        #expect(throws: HistoryError.self) { try HistoryFile(path).append(record("a")) }
        #expect(throws: HistoryError.self) { try HistoryFile(path).last() }
    }

    @Test func manyThreadsWriteWholeLines() async throws {
        let file = HistoryFile(path, limits: limits(records: 50))
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<120 { group.addTask { try? file.append(record("\(number)")) } }
        }
        let page = try file.records()
        #expect(page.unreadableLines == 0 && (25...50).contains(page.records.count))
    }

    // MARK: Names of errnos

    @Test(arguments: [
        (Errno.resourceBusy, "EBUSY"), (.notSupportedOnSocket, "EOPNOTSUPP"), (.canceled, "ECANCELED"),
        (.noSpace, "ENOSPC"), (.staleNFSFileHandle, "ESTALE"), (.tooManySymbolicLinkLevels, "ELOOP"),
        (Errno(rawValue: 524), "errno 524"),
    ])
    func errnoHasItsName(_ error: Errno, _ name: String) {
        #expect(error.symbolicName == name)
    }
}
