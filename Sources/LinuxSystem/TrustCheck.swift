import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// Verifies that nobody but root can change what a path leads to.
///
/// The daemon runs hooks, and believes its configuration, as root. Whoever can write to such a file, to the
/// directory it is in or to any directory above (and rename that directory away) therefore *is* root. The walk
/// goes component by component, as the kernel's does (path_resolution(7)), so it sees every directory above a
/// link as well as above its target. A sticky bit does not help: in /tmp anybody can create the name before
/// root does.
///
/// Once everything on the way belongs to root alone, nobody else can change it between the check and the use.
public enum TrustCheck {
    /// As many as the kernel follows (MAXSYMLINKS, include/linux/namei.h).
    static let symbolicLinkLimit = 40

    /// Checks the path, every directory above it, and the same for the target of every symbolic link on the
    /// way.
    ///
    /// Blocks as lstat(2) does (for ever on a dead network mount): call it on a thread that may.
    ///
    /// - Parameter mayBeMissing: Accept a path that does not exist (yet), if all that exists of it is trusted.
    /// - Throws: ``TrustError`` for the first thing on the way that is not owned by root, or is writable by its
    ///   group or by others (an access control list that lets others write shows as a group write bit, acl(5)).
    public static func verify(_ path: FilePath, mayBeMissing: Bool = false) throws(TrustError) {
        guard path.isAbsolute else { throw TrustError(path: path, culprit: path, finding: .notAbsolute) }
        var remaining = Array(path.components.reversed())
        var current = FilePath("/")
        var links = 0
        try verifyOne(current, on: path)
        while let component = remaining.popLast() {
            if component.kind == .currentDirectory { continue }
            if component.kind == .parentDirectory {
                // Checked on the way down already.
                current.removeLastComponent()
                continue
            }
            let next = current.appending(component)
            let kind: mode_t
            do {
                kind = try verifyOne(next, on: path)
            } catch  where mayBeMissing && error.finding == .unreadable(.noSuchFileOrDirectory) {
                return
            }
            guard kind == S_IFLNK else {
                current = next
                continue
            }
            links += 1
            guard links <= symbolicLinkLimit else {
                throw TrustError(path: path, culprit: next, finding: .tooManySymbolicLinks)
            }
            let target = try readLink(next, on: path)
            if target.isAbsolute { current = "/" }
            remaining.append(contentsOf: target.components.reversed())
        }
    }

    /// - Returns: The file's type (`S_IFMT` part of its mode).
    @discardableResult
    private static func verifyOne(_ culprit: FilePath, on path: FilePath) throws(TrustError) -> mode_t {
        var status = stat()
        let result = culprit.withPlatformString { lstat($0, &status) }
        guard result == 0 else {
            throw TrustError(path: path, culprit: culprit, finding: .unreadable(Errno(rawValue: errno)))
        }
        let kind = status.st_mode & S_IFMT
        guard status.st_uid == 0 else {
            throw TrustError(path: path, culprit: culprit, finding: .notOwnedByRoot(owner: status.st_uid))
        }
        // A link's own mode is always 0777 and means nothing (symlink(7)).
        if kind == S_IFLNK { return kind }
        if status.st_mode & S_IWOTH != 0 {
            throw TrustError(path: path, culprit: culprit, finding: .writableByOthers)
        }
        if status.st_mode & S_IWGRP != 0 {
            throw TrustError(path: path, culprit: culprit, finding: .writableByGroup)
        }
        return kind
    }

    private static func readLink(_ link: FilePath, on path: FilePath) throws(TrustError) -> FilePath {
        do throws(Errno) {
            return try readSymbolicLink(link)
        } catch {
            throw TrustError(path: path, culprit: link, finding: .unreadable(error))
        }
    }
}
