import FreezeCore
import Glibc
import LinuxCalls
import Synchronization
import SystemPackage

/// The records of past requests: `history.jsonl` in the state directory, one JSON object a line, the newest last.
///
/// It blocks, and it opens paths: the daemon appends only after the thaw, from a thread of its own (P7, P9). One
/// process writes, from whatever thread; any number may read meanwhile. A line is written at once and is not flushed
/// to disk (fsync): a backup's end does not wait for a slow disk, and a power failure costs the last records at most.
public final class HistoryFile: Sendable {
    /// How much is kept.
    public struct Limits: Sendable, Hashable {
        public var records = 1000
        public var bytes: Int64 = 16 << 20

        public init() {}
    }

    typealias Write = @Sendable ([UInt8], FileDescriptor) throws(Errno) -> Void

    /// What the file was like after the last append, so that its lines are not counted for every record.
    private struct Count {
        var size: Int64
        var lines: Int
    }

    public let path: FilePath
    /// Records held back while the history's filesystem may be frozen; nil for the file of held records.
    let held: HistoryFile?
    private let limits: Limits
    private let write: Write
    private let count = Mutex<Count?>(nil)

    /// - Parameter path: `<state>/history.jsonl`. Its directory is made by the first append, but not the ones above.
    public convenience init(_ path: FilePath, limits: Limits = Limits(), held: HistoryFile? = nil) {
        self.init(path, limits: limits, held: held) { (bytes, descriptor) throws(Errno) in
            try writeAll(bytes, to: descriptor)
        }
    }

    /// The history in a state directory, with held records in the run directory.
    public convenience init(inStateDirectory directory: FilePath, heldIn runDirectory: FilePath) {
        self.init(
            directory.appending("history.jsonl"), held: HistoryFile(runDirectory.appending("history.held.jsonl")))
    }

    init(_ path: FilePath, limits: Limits, held: HistoryFile? = nil, write: @escaping Write) {
        self.path = path
        self.held = held
        self.limits = limits
        self.write = write
    }

    // MARK: Writing

    /// Adds a record. When it throws, the file holds what it held before; for the code `notTrimmed`, also the record.
    public func append(_ record: RequestRecord) throws(HistoryError) {
        let line = record.line()
        try count.withLock { (count) throws(HistoryError) in
            try makeDirectory()
            let after = try appendLine(line, count)
            count = after
            guard after.lines > limits.records || after.size > limits.bytes else { return }
            count = nil
            count = try trim()
        }
    }

    // MARK: Held records

    /// Adds a held record. Every reader of the history gets held records. Held records are on no filesystem that
    /// can be frozen.
    public func hold(_ record: RequestRecord) throws(HistoryError) {
        try held?.append(record)
    }

    /// Moves the held records into the file. A record stays held if the move fails.
    public func writeHeld() throws(HistoryError) {
        guard let held, access(held.path.string, F_OK) == 0 else { return }
        let known = Set(try searchFile(limit: 100) { _ in true }.records.map(\.id.text))
        for record in try held.records().records.reversed() where !known.contains(record.id.text) {
            try append(record)
        }
        unlink(held.path.string)
    }

    private func makeDirectory() throws(HistoryError) {
        let directory = path.removingLastComponent()
        guard mkdir(directory.string, 0o700) != 0, errno != EEXIST else { return }
        let error = Errno(rawValue: errno)
        throw HistoryError(
            .directoryUnusable, directory, "the state directory cannot be made",
            remedy: HistoryError.remedy(for: error, directory), underlyingError: error)
    }

    private func appendLine(_ line: [UInt8], _ known: Count?) throws(HistoryError) -> Count {
        do throws(Errno) {
            let descriptor = try openDescriptor(
                path, .readWrite, options: [.append, .create, .noFollow, .nonBlocking],
                permissions: .ownerReadWrite)
            defer { try? descriptor.close() }
            let size = try regularFileSize(descriptor)
            var lines = 0
            if let known, known.size == size {
                lines = known.lines
            } else {
                var reader = ReverseLineReader(descriptor, size: size)
                while try reader.next() != nil { lines += 1 }
            }
            // A crash or a full disk may have torn the last line: it must not swallow this one.
            let isTorn = size > 0 ? try readBytes(descriptor, at: size - 1, count: 1) != [newline] : false
            let bytes = (isTorn ? [newline] : []) + line + [newline]
            do throws(Errno) {
                try write(bytes, descriptor)
            } catch {
                // Half a line would be skipped by every reader, but takes the space that is missing.
                ftruncate(descriptor.rawValue, off_t(size))
                throw error
            }
            return Count(size: size + Int64(bytes.count), lines: lines + 1)
        } catch {
            throw HistoryError(
                .notWritten, path, "the record of this request cannot be added to the history",
                remedy: HistoryError.remedy(for: error, path), underlyingError: error)
        }
    }

    // MARK: Trimming

    /// Keeps the newest half, by a new file that takes the old one's place: a crash leaves one or the other.
    private func trim() throws(HistoryError) -> Count {
        let temporaryPath = FilePath(path.string + ".new")
        do throws(Errno) {
            let old = try openDescriptor(path, .readOnly, options: [.noFollow, .nonBlocking])
            defer { try? old.close() }
            let lines = try newestHalf(of: old)
            // A crash may have left one; it is worth nothing, the old file is whole.
            unlink(temporaryPath.string)
            let new = try openDescriptor(
                temporaryPath, .writeOnly, options: [.create, .exclusiveCreate, .noFollow],
                permissions: .ownerReadWrite)
            defer { try? new.close() }
            // One after the other: what is kept in memory at a time stays with the process.
            for line in lines.reversed() {
                try write(try readBytes(old, at: line.start, count: line.length) + [newline], new)
            }
            // Else a power failure may leave the new name on an empty file, and lose everything.
            guard fsync(new.rawValue) == 0, rename(temporaryPath.string, path.string) == 0 else {
                throw Errno(rawValue: errno)
            }
            return Count(size: lines.reduce(0) { $0 + Int64($1.length) + 1 }, lines: lines.count)
        } catch {
            unlink(temporaryPath.string)
            throw HistoryError(
                .notTrimmed, path, "the history is longer than it should be and cannot be shortened",
                remedy: HistoryError.remedy(for: error, path), underlyingError: error)
        }
    }

    /// As many of the newest lines as fit half of both limits, but at least the last one; the newest first.
    private func newestHalf(of descriptor: FileDescriptor) throws(Errno) -> [(start: Int64, length: Int)] {
        var reader = ReverseLineReader(descriptor, size: try regularFileSize(descriptor))
        var lines: [(start: Int64, length: Int)] = []
        var size = 0
        while lines.count < max(limits.records / 2, 1), let line = try reader.next() {
            guard case .line(let bytes) = line else { continue }
            if !lines.isEmpty, size + bytes.count + 1 > limits.bytes / 2 { break }
            lines.append((reader.start, bytes.count))
            size += bytes.count + 1
        }
        return lines
    }
}

let newline = UInt8(ascii: "\n")

/// The size of what is open, if it is a file.
func regularFileSize(_ descriptor: FileDescriptor) throws(Errno) -> Int64 {
    var status = stat()
    guard fstat(descriptor.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .invalidArgument }
    return Int64(status.st_size)
}
