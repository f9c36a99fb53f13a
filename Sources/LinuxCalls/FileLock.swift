import CLinux
import Glibc
import SystemPackage

/// The write locks of a file in both lock spaces, without waiting: flock(2), and the lock of the open file description
/// (fcntl(2)), which excludes POSIX locks.
///
/// The kernel releases both at the close of the descriptor, and a close of another descriptor of the file by this
/// process releases neither.
public enum FileLock {
    /// - Returns: False if another program has one of the locks. Then neither is held.
    public static func tryLock(_ descriptor: FileDescriptor) throws(Errno) -> Bool {
        guard flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == 0 else {
            let error = Errno(rawValue: errno)
            if error == .wouldBlock { return false }
            throw error
        }
        switch Errno(rawValue: -clinux_try_lock_file(descriptor.rawValue)) {
        case Errno(rawValue: 0): return true
        case let error:
            // No program waits for a lock that only half of the programs respect.
            flock(descriptor.rawValue, LOCK_UN)
            // fcntl(2): POSIX allows either.
            if error == .resourceTemporarilyUnavailable || error == .permissionDenied { return false }
            throw error
        }
    }
}
