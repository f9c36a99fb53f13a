import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// The run directory: private to root and on tmpfs, which is never frozen, so that a guard can always write to it.
public struct RunDirectory: Sendable {
    public let path: FilePath
    /// The boot this is (random for each; /proc/sys/kernel/random/boot_id).
    public let bootID: String

    /// Checks the directory. Makes it, with mode 0700, if it is not there and `creating` says so.
    public init(_ path: FilePath, creating: Bool) throws(LedgerError) {
        self.path = path
        if creating, mkdir(path.string, 0o700) != 0, errno != EEXIST {
            throw LedgerError(
                .runDirectoryUnusable, path, "the run directory cannot be made",
                remedy: "Check `paths.run` in the configuration.", underlyingError: Errno(rawValue: errno))
        }
        var status = stat()
        guard lstat(path.string, &status) == 0 else {
            throw LedgerError(
                .runDirectoryUnusable, path, "the run directory cannot be read",
                remedy: "Check `paths.run` in the configuration.", underlyingError: Errno(rawValue: errno))
        }
        try Self.requirePrivate(path, status)
        guard (try? path.isOnMemoryFilesystem()) == true else {
            throw LedgerError(
                .notOnTmpfs, path, "the run directory is not on a tmpfs, so it could be frozen itself",
                remedy: "Set `paths.run` to a directory under /run.")
        }
        do throws(Errno) {
            let identifier = try readWholeFile("/proc/sys/kernel/random/boot_id")
            bootID = String(decoding: identifier.filter { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        } catch {
            throw LedgerError(
                .runDirectoryUnusable, "/proc/sys/kernel/random/boot_id", "the boot's id cannot be read",
                remedy: "Mount /proc.", underlyingError: error)
        }
    }

    /// Advises no chown or chmod: for a directory that is named by mistake (/tmp, /etc) that would break the machine.
    private static func requirePrivate(_ path: FilePath, _ status: stat) throws(LedgerError) {
        let remedy = "Set `paths.run` to a directory under /run for quiesced alone, which it makes by itself."
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw LedgerError(
                .runDirectoryUnusable, path, "it is not a directory of mode 0700 owned by root", remedy: remedy)
        }
        guard status.st_uid == geteuid() else {
            let isRoots = status.st_uid == 0
            throw LedgerError(
                .runDirectoryUnusable, path,
                isRoots
                    ? "the run directory is root's alone" : "the run directory is owned by user \(status.st_uid)",
                remedy: isRoots ? "Run this as root." : remedy)
        }
        guard status.st_mode & 0o077 == 0 else {
            throw LedgerError(
                .runDirectoryUnusable, path,
                "the run directory must be owned by root and of mode 0700; its mode is 0\(String(status.st_mode & 0o777, radix: 8))",
                remedy: remedy)
        }
    }

    public var ledgerPath: FilePath { path.appending("ledger") }
    private var temporaryPath: FilePath { path.appending("ledger.new") }

    /// Removes what a daemon that was killed while it made a ledger has left. For the holder of the lock only.
    public func removeUnfinishedLedger() {
        unlink(temporaryPath.string)
    }

    /// Makes the ledger of a new request. It appears whole or not at all.
    ///
    /// - Returns: The ledger, and a descriptor of it for the freezer, which the caller closes.
    public func createLedger(
        _ contents: LedgerContents
    ) throws(LedgerError) -> (ledger: Ledger, descriptor: FileDescriptor) {
        let descriptor: FileDescriptor
        do throws(Errno) {
            descriptor = try openDescriptor(
                temporaryPath, .readWrite, options: [.create, .truncate, .noFollow], permissions: .ownerReadWrite)
        } catch {
            throw LedgerError(.cannotCreate, temporaryPath, "the ledger cannot be made", underlyingError: error)
        }
        do throws(Errno) {
            try writeAll(LedgerEncoder(contents, bootID: bootID).bytes, to: descriptor)
            StopPoint.reach("before the ledger")
            guard rename(temporaryPath.string, ledgerPath.string) == 0 else { throw Errno(rawValue: errno) }
        } catch {
            try? descriptor.close()
            throw LedgerError(.cannotCreate, ledgerPath, "the ledger cannot be written", underlyingError: error)
        }
        do throws(LedgerError) {
            return (try Ledger(mapping: descriptor, path: ledgerPath), descriptor)
        } catch {
            try? descriptor.close()
            throw error
        }
    }

    /// The ledger that an unfinished request left, or nil. One from before the last boot is removed: what it names
    /// is not frozen any more.
    public func openLedger() throws(LedgerError) -> Ledger? {
        let descriptor: FileDescriptor
        do throws(Errno) {
            descriptor = try openDescriptor(ledgerPath, .readWrite, options: [.noFollow, .nonBlocking])
        } catch {
            switch error {
            case .noSuchFileOrDirectory: return nil
            // A symbolic link, a directory, a socket.
            case .tooManySymbolicLinkLevels, .isDirectory, .noSuchAddressOrDevice:
                throw notOurs("this is not a ledger that quiesce made: it is not a file")
            default:
                throw LedgerError(.unreadable, ledgerPath, "the ledger cannot be read", underlyingError: error)
            }
        }
        defer { try? descriptor.close() }
        try requireOurs(descriptor)
        let ledger = try Ledger(mapping: descriptor, path: ledgerPath)
        guard ledger.bootID == bootID else {
            remove(ledger)
            return nil
        }
        return ledger
    }

    /// Nobody but root can put anything into the run directory. What is there all the same, and is not as we make it, is
    /// not believed: it says what is thawed.
    private func requireOurs(_ descriptor: FileDescriptor) throws(LedgerError) {
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0 else {
            throw LedgerError(
                .unreadable, ledgerPath, "the ledger cannot be read", underlyingError: Errno(rawValue: errno))
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw notOurs("this is not a ledger that quiesce made: it is not a file")
        }
        guard status.st_uid == geteuid() else {
            throw notOurs("this is not a ledger that quiesce made: it is owned by user \(status.st_uid)")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw notOurs(
                "this is not a ledger that quiesce made: its mode is 0\(String(status.st_mode & 0o777, radix: 8))")
        }
    }

    private func notOurs(_ problem: String) -> LedgerError {
        LedgerError(
            .untrusted, ledgerPath, problem,
            remedy: "Remove it if nothing is frozen; if something is, thaw it with `fsfreeze -u`.")
    }

    /// Whether a guard that has only the path would find this very ledger.
    public func holds(_ ledger: Ledger) -> Bool {
        (try? FileIdentity(ledgerPath)) == ledger.file
    }

    /// Removes the ledger: its request is over. The ledger of a later request is left alone.
    public func remove(_ ledger: Ledger) {
        if holds(ledger) { unlink(ledgerPath.string) }
    }

    /// Moves a ledger that cannot be understood out of the way of the next one, but keeps it for a human.
    ///
    /// - Returns: Where it is now.
    public func setAsideDamagedLedger() throws(LedgerError) -> FilePath {
        let aside = path.appending("ledger.damaged")
        guard rename(ledgerPath.string, aside.string) == 0 else {
            throw LedgerError(
                .unreadable, ledgerPath, "the damaged ledger cannot be moved aside",
                underlyingError: Errno(rawValue: errno))
        }
        return aside
    }
}
