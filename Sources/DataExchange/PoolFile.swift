import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage

/// The file of a pool, changed in place, because hv_kvp_daemon and other programs can have the file open.
///
/// Blocks as filesystems do. Waits for a lock up to the limit, and never for a FIFO or a FUSE server.
struct PoolFile: Sendable {
    let path: FilePath
    /// The longest wait for a lock. hv_kvp_daemon holds a lock while reading.
    var lockLimit = Duration.seconds(5)

    /// Far more than a host enumerates. A pool that is too full for new records still has the old ones updated.
    static let readLimit = 16 << 20

    private static let lockPause = Duration.milliseconds(20)

    /// Gives each fact its value.
    ///
    /// - Parameter isCancelled: Read before each step.
    /// - Returns: The problems of a pool that was read.
    /// - Throws: The problem that prevented the read, or the cancellation.
    func update(_ facts: [PoolFact], isCancelled: () -> Bool) throws(PoolProblem) -> [PoolProblem] {
        try Self.check(isCancelled)
        let descriptor = try open()
        // Releases the locks.
        defer { try? descriptor.close() }
        try lock(descriptor, isCancelled)
        var update = PoolRecords(try read(descriptor)).update(facts)
        for write in update.writes {
            try Self.check(isCancelled)
            do throws(Errno) {
                try Self.write(write, to: descriptor)
            } catch {
                update.problems.append(.failed(error))
            }
        }
        return update.problems
    }

    private static func check(_ isCancelled: () -> Bool) throws(PoolProblem) {
        if isCancelled() { throw .cancelled }
    }

    // MARK: Opening

    /// A path that root alone can change leads to the same file in the checks and at the open.
    private func open() throws(PoolProblem) -> FileDescriptor {
        guard try isThere() else { throw .missing }
        // Before the open, because an open of a device can have effects.
        var status = stat()
        guard lstat(path.string, &status) == 0 else { throw .failed(Errno(rawValue: errno)) }
        try Self.requireRegular(status)
        do throws(Errno) {
            return try openDescriptor(path, .readWrite, options: [.noFollow, .nonBlocking])
        } catch {
            throw .failed(error)
        }
    }

    private func isThere() throws(PoolProblem) -> Bool {
        do throws(TrustError) {
            return try TrustCheck.verify(path, mayBeMissing: true)
        } catch {
            throw .untrusted(error)
        }
    }

    private static func requireRegular(_ status: stat) throws(PoolProblem) {
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notRegular }
    }

    // MARK: Locking

    private func lock(_ descriptor: FileDescriptor, _ isCancelled: () -> Bool) throws(PoolProblem) {
        let deadline = Moment.now + lockLimit
        while try !Self.tryLock(descriptor) { try Self.wait(until: deadline, isCancelled) }
    }

    private static func tryLock(_ descriptor: FileDescriptor) throws(PoolProblem) -> Bool {
        do throws(Errno) {
            return try FileLock.tryLock(descriptor)
        } catch {
            throw .failed(error)
        }
    }

    private static func wait(until deadline: Moment, _ isCancelled: () -> Bool) throws(PoolProblem) {
        try check(isCancelled)
        guard Moment.now < deadline else { throw .locked }
        var pause = timespec(tv_sec: 0, tv_nsec: Int(lockPause.nanoseconds))
        nanosleep(&pause, nil)
    }

    // MARK: Reading and writing

    private func read(_ descriptor: FileDescriptor) throws(PoolProblem) -> [UInt8] {
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0 else { throw .failed(Errno(rawValue: errno)) }
        try Self.requireRegular(status)
        guard status.st_size <= Self.readLimit else { throw .tooLarge }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var filled = 0
        while filled < bytes.count {
            let result = bytes.withUnsafeMutableBytes { buffer in
                pread(
                    descriptor.rawValue, buffer.baseAddress?.advanced(by: filled), buffer.count - filled,
                    off_t(filled))
            }
            if result < 0 && errno == EINTR { continue }
            guard result >= 0 else { throw .failed(Errno(rawValue: errno)) }
            if result == 0 { break }
            filled += result
        }
        return Array(bytes[..<filled])
    }

    private static func write(_ write: PoolRecords.Write, to descriptor: FileDescriptor) throws(Errno) {
        if write.isNew { return try append(write, to: descriptor) }
        var rest = write.bytes[...]
        while !rest.isEmpty {
            let offset = write.offset + write.bytes.count - rest.count
            let count = rest.withUnsafeBytes {
                pwrite(descriptor.rawValue, $0.baseAddress, $0.count, off_t(offset))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw count < 0 ? Errno(rawValue: errno) : .ioError }
            rest = rest.dropFirst(count)
        }
    }

    /// Appends with O_APPEND (open(2)), because a program without locks may append at the same time. Must be the last
    /// write: with O_APPEND pwrite(2) ignores the offset.
    private static func append(_ write: PoolRecords.Write, to descriptor: FileDescriptor) throws(Errno) {
        if write.replacesTail, ftruncate(descriptor.rawValue, off_t(write.offset)) != 0 {
            throw Errno(rawValue: errno)
        }
        let flags = fcntl(descriptor.rawValue, F_GETFL)
        guard flags >= 0, fcntl(descriptor.rawValue, F_SETFL, flags | O_APPEND) == 0 else {
            throw Errno(rawValue: errno)
        }
        let count = write.bytes.withUnsafeBytes { Glibc.write(descriptor.rawValue, $0.baseAddress, $0.count) }
        guard count != write.bytes.count else { return }
        let error = count < 0 ? Errno(rawValue: errno) : .noSpace
        // A part of a record would displace the records of programs that append.
        let end = lseek(descriptor.rawValue, 0, SEEK_CUR)
        if count > 0, end == lseek(descriptor.rawValue, 0, SEEK_END) {
            ftruncate(descriptor.rawValue, end - count)
        }
        throw error
    }
}
