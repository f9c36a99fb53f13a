import CLinux
import Glibc
import SystemPackage

/// The write locks of a file in both lock spaces, without waiting: flock(2), and the lock of the open file description
/// (fcntl(2)), which conflicts with POSIX locks.
///
/// The kernel releases both locks when the descriptor is closed, and not when the process closes another descriptor of
/// the file.
public enum FileLock {
    /// - Returns: False if another program holds one of the locks. The caller then holds neither lock.
    public static func tryLock(_ descriptor: FileDescriptor) throws(Errno) -> Bool {
        guard flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == 0 else {
            let error = Errno(rawValue: errno)
            if error == .wouldBlock { return false }
            throw error
        }
        switch Errno(rawValue: -clinux_try_lock_file(descriptor.rawValue)) {
        case Errno(rawValue: 0): return true
        case let error:
            // Keep no single lock: programs that use only flock(2) would wait without need.
            flock(descriptor.rawValue, LOCK_UN)
            // POSIX allows both errors for a held lock (fcntl(2)).
            if error == .resourceTemporarilyUnavailable || error == .permissionDenied { return false }
            throw error
        }
    }
}
