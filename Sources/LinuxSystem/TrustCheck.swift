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
/// If root alone owns everything on the way, no other user can change the path between the check and the use. To
/// rename, replace, create or mount over a name takes write access to the directory, or root. A verified path may
/// therefore be used as a path. A descriptor would not be safer, and programs started by hooks would inherit the
/// descriptor.
public enum TrustCheck {
    /// As many as the kernel follows (MAXSYMLINKS, include/linux/namei.h).
    static let symbolicLinkLimit = 40

    /// Checks the path, every directory above it, and the same for the target of every symbolic link on the
    /// way.
    ///
    /// A FUSE server can report any owner and mode, or never answer, so a file on a FUSE filesystem is neither
    /// trusted nor looked at. On other filesystems the check blocks like fstat(2) (forever on a dead network
    /// mount). Call on a thread that may block.
    ///
    /// - Parameter mayBeMissing: Accept a missing path, if nobody but root can make the file.
    /// - Returns: Whether the path exists.
    /// - Throws: ``TrustError`` for the first file on the way that is not owned by root, is writable by the group or
    ///   by others (an access control list with write access for others shows as a group write bit, acl(5)), or is
    ///   on a FUSE filesystem.
    @discardableResult
    public static func verify(_ path: FilePath, mayBeMissing: Bool = false) throws(TrustError) -> Bool {
        guard path.isAbsolute else { throw TrustError(path: path, culprit: path, finding: .notAbsolute) }
        var remaining = Array(path.components.reversed())
        /// From `/` down to where the walk is.
        var places = [try root(of: path)]
        var links = 0
        while let component = remaining.popLast(), let current = places.last {
            if component.kind == .currentDirectory { continue }
            if component.kind == .parentDirectory {
                // Checked on the way down already. `/` is its own parent.
                if places.count > 1 { places.removeLast() }
                continue
            }
            guard let next = try child(component, of: current, on: path) else {
                if mayBeMissing { return false }
                let missing = current.path.appending(component)
                throw TrustError(path: path, culprit: missing, finding: .unreadable(.noSuchFileOrDirectory))
            }
            guard try verifyOne(next, on: path) == S_IFLNK else {
                places.append(next)
                continue
            }
            links += 1
            guard links <= symbolicLinkLimit else {
                throw TrustError(path: path, culprit: next.path, finding: .tooManySymbolicLinks)
            }
            let target = try readable(next.path, on: path) { () throws(Errno) in try next.target() }
            if target.isAbsolute { places.removeLast(places.count - 1) }
            remaining.append(contentsOf: target.components.reversed())
        }
        return true
    }

    private static func root(of path: FilePath) throws(TrustError) -> PathPlace {
        let root = try readable("/", on: path) { () throws(Errno) in try PathPlace.root() }
        try verifyFilesystem(of: root, on: path)
        try verifyOne(root, on: path)
        return root
    }

    private static func child(
        _ component: FilePath.Component, of place: PathPlace, on path: FilePath
    ) throws(TrustError) -> PathPlace? {
        let child = try readable(place.path.appending(component), on: path) { () throws(Errno) in
            try place.child(component)
        }
        guard let child else { return nil }
        if !child.isOnSameMount(as: place) { try verifyFilesystem(of: child, on: path) }
        return child
    }

    /// Of the filesystems served by user programs, only FUSE can be mounted by a user in view of others
    /// (fusermount3(1)). virtiofs speaks FUSE with the host, and the machine has to trust the host anyway.
    private static func verifyFilesystem(of place: PathPlace, on path: FilePath) throws(TrustError) {
        let type = try readable(place.path, on: path) { () throws(Errno) in try place.filesystemType() }
        guard !["fuse", "fuseblk"].contains(type.prefix { $0 != "." }) else {
            throw TrustError(path: path, culprit: place.path, finding: .onUserspaceFilesystem(type: type))
        }
    }

    /// - Returns: The file's type (`S_IFMT` part of its mode).
    @discardableResult
    private static func verifyOne(_ place: PathPlace, on path: FilePath) throws(TrustError) -> mode_t {
        let status = try readable(place.path, on: path) { () throws(Errno) in try place.status() }
        let kind = status.st_mode & S_IFMT
        guard status.st_uid == 0 else {
            throw TrustError(path: path, culprit: place.path, finding: .notOwnedByRoot(owner: status.st_uid))
        }
        // A link's own mode is always 0777 and means nothing (symlink(7)).
        if kind == S_IFLNK { return kind }
        if status.st_mode & S_IWOTH != 0 {
            throw TrustError(path: path, culprit: place.path, finding: .writableByOthers)
        }
        if status.st_mode & S_IWGRP != 0 {
            throw TrustError(path: path, culprit: place.path, finding: .writableByGroup)
        }
        return kind
    }

    private static func readable<Value>(
        _ culprit: FilePath, on path: FilePath, _ look: () throws(Errno) -> Value
    ) throws(TrustError) -> Value {
        do throws(Errno) {
            return try look()
        } catch {
            throw TrustError(path: path, culprit: culprit, finding: .unreadable(error))
        }
    }
}
