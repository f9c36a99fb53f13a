import Glibc
import SystemPackage

/// The mount namespaces of a process's threads. A thread can have a namespace of its own (unshare(2)). An ended
/// main thread is in no namespace.
public enum ThreadNamespaces {
    /// Reads one link of each thread without allocating memory: a machine has thousands of threads.
    ///
    /// - Parameters:
    ///   - proc: The mount point of procfs.
    ///   - body: Gets the thread's id, and the inode number of the thread's mount namespace; or EACCES if access
    ///     is denied, or ENOENT or ESRCH if the thread has ended meanwhile.
    /// - Throws: ENOENT or ESRCH if the process has ended; EPERM if access is denied.
    public static func forEach(
        of process: pid_t, proc: FilePath, _ body: (pid_t, Result<UInt64, Errno>) -> Void
    ) throws(Errno) {
        let path = proc.appending("\(process)/task")
        guard let stream = path.withPlatformString({ opendir($0) }) else { throw Errno(rawValue: errno) }
        defer { closedir(stream) }
        let directory = dirfd(stream)
        // A thread may end while the directory is read: no error.
        while let entry = readdir(stream) {
            withUnsafePointer(to: &entry.pointee.d_name) { field in
                field.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: field.pointee)) {
                    // "." and ".." are no numbers.
                    if let thread = pid_t(exactly: strtol($0, nil, 10)), thread > 0 {
                        body(thread, namespace(of: $0, in: directory))
                    }
                }
            }
        }
    }

    /// The inode number in the text of `TID/ns/mnt`: "mnt:[4026531841]" (namespaces(7)).
    private static func namespace(of thread: UnsafePointer<CChar>, in directory: CInt) -> Result<UInt64, Errno> {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { path in
            withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { target in
                guard let path = path.baseAddress, let target = target.baseAddress else {
                    return .failure(.noMemory)
                }
                guard strlen(thread) < 32 else { return .failure(.fileNameTooLong) }
                strcpy(path, thread)
                strcat(path, "/ns/mnt")
                let length = readlinkat(directory, path, target, 63)
                guard length >= 0 else { return .failure(Errno(rawValue: errno)) }
                target[length] = 0
                guard let bracket = strchr(target, CInt(UInt8(ascii: "["))) else { return .failure(.ioError) }
                return .success(UInt64(strtoull(bracket + 1, nil, 10)))
            }
        }
    }
}
