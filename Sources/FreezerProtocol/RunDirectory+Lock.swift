import Glibc
import LinuxCalls
import SystemPackage

/// The lock of the run directory, for one daemon at a time. The lock file names the holder.
extension RunDirectory {
    private var lockPath: FilePath { path.appending("lock") }

    /// Takes the lock until the end of the process or the close of the descriptor.
    ///
    /// A killed holder hanging in the kernel never releases the lock: the lock file is replaced.
    ///
    /// - Throws: `LedgerError` with the code `inUse` if another daemon holds it.
    public func lock() throws(LedgerError) -> FileDescriptor {
        do throws(Errno) {
            let directory = try openDescriptor(path, .readOnly, options: .directory)
            defer { try? directory.close() }
            // Only one process at a time looks at the holder and replaces the file.
            guard flock(directory.rawValue, LOCK_EX | LOCK_NB) == 0 else { throw Errno(rawValue: errno) }
            if let descriptor = try lockFile() { return descriptor }
            guard let holder = lockHolder, !holder.isAlive else { throw .wouldBlock }
            unlink(lockPath.string)
            guard let descriptor = try lockFile() else { throw .wouldBlock }
            return descriptor
        } catch {
            if error == .wouldBlock {
                throw LedgerError(
                    .inUse, lockPath, "another quiesced is running on this run directory",
                    remedy: "Stop it first, or give this one another `paths.run`.")
            }
            throw LedgerError(.runDirectoryUnusable, lockPath, "the lock cannot be taken", underlyingError: error)
        }
    }

    /// - Returns: Nil if another process holds the file's lock.
    private func lockFile() throws(Errno) -> FileDescriptor? {
        let descriptor = try openDescriptor(
            lockPath, .readWrite, options: [.create, .noFollow], permissions: .ownerReadWrite)
        do throws(Errno) {
            if flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == 0 {
                // Root may have removed the file after the open: then another daemon locks another file.
                guard try FileIdentity(descriptor) == FileIdentity(lockPath) else { throw .wouldBlock }
                let me = ProcessIdentity.current
                guard ftruncate(descriptor.rawValue, 0) == 0 else { throw Errno(rawValue: errno) }
                // Without space the file names nobody, and is not replaced. Recovery must not wait for space (P1).
                try? writeAll(Array("\(me.processID) \(me.startTicks)\n".utf8), to: descriptor)
                return descriptor
            }
            let error = Errno(rawValue: errno)
            guard error == .wouldBlock else { throw error }
        } catch {
            try? descriptor.close()
            throw error
        }
        try? descriptor.close()
        return nil
    }

    /// The last process that took the lock; nil if the file names no process.
    private var lockHolder: ProcessIdentity? {
        guard let text = try? readWholeFile(lockPath, limit: 100) else { return nil }
        let fields = String(decoding: text, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard fields.count == 2, let process = pid_t(fields[0]), let startTicks = UInt64(fields[1]) else {
            return nil
        }
        return ProcessIdentity(processID: process, startTicks: startTicks)
    }
}
