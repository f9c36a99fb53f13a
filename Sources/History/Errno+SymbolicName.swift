import SystemPackage

extension Errno {
    /// The constant's name (`EBUSY`), or `errno 524` for a number without one here.
    ///
    /// glibc's `strerrorname_np(3)` would do, but is not visible to Swift. What filesystems and block devices answer
    /// with is listed, by the numbers that x86-64, arm64 and riscv64 share (asm-generic/errno.h).
    public var symbolicName: String {
        symbolicNames[rawValue] ?? "errno \(rawValue)"
    }
}

private let symbolicNames: [CInt: String] = [
    1: "EPERM", 2: "ENOENT", 3: "ESRCH", 4: "EINTR", 5: "EIO", 6: "ENXIO", 7: "E2BIG", 8: "ENOEXEC",
    9: "EBADF", 10: "ECHILD", 11: "EAGAIN", 12: "ENOMEM", 13: "EACCES", 14: "EFAULT", 15: "ENOTBLK",
    16: "EBUSY", 17: "EEXIST", 18: "EXDEV", 19: "ENODEV", 20: "ENOTDIR", 21: "EISDIR", 22: "EINVAL",
    23: "ENFILE", 24: "EMFILE", 25: "ENOTTY", 26: "ETXTBSY", 27: "EFBIG", 28: "ENOSPC", 29: "ESPIPE",
    30: "EROFS", 31: "EMLINK", 32: "EPIPE", 33: "EDOM", 34: "ERANGE", 35: "EDEADLK", 36: "ENAMETOOLONG",
    37: "ENOLCK", 38: "ENOSYS", 39: "ENOTEMPTY", 40: "ELOOP", 61: "ENODATA", 62: "ETIME", 71: "EPROTO",
    72: "EMULTIHOP", 74: "EBADMSG", 75: "EOVERFLOW", 84: "EILSEQ", 95: "EOPNOTSUPP", 110: "ETIMEDOUT",
    113: "EHOSTUNREACH", 116: "ESTALE", 117: "EUCLEAN", 121: "EREMOTEIO", 122: "EDQUOT", 123: "ENOMEDIUM",
    124: "EMEDIUMTYPE", 125: "ECANCELED", 130: "EOWNERDEAD", 131: "ENOTRECOVERABLE",
]
