import FreezeCore

/// A wait inside a write that another process can prolong at will, by the kernel function in which the task
/// sleeps (proc_pid_wchan(5)). The waits of an ordinary writer, for the disk, the journal, or throttling, are not
/// included.
enum KernelWait: Equatable {
    /// For data in a pipe.
    case pipe
    /// For the answer of a FUSE server, or of a userfaultfd(2).
    case server
    /// For a page, possibly from a FUSE server.
    case page
    /// For the mutex of a pipe, held by another sleeping task.
    case mutex

    init?(function: Substring) {
        // Without the compiler's suffix: `freeze_super.part.0`.
        let name = function.prefix { $0 != "." }
        switch name {
        case "pipe_wait_readable", "pipe_wait", "splice_from_pipe_next", "splice_from_pipe",
            "iter_file_splice_write":
            self = .pipe
        case "request_wait_answer", "handle_userfault":
            self = .server
        case "__mutex_lock", "mutex_lock", "__mutex_lock_slowpath", "mutex_lock_nested":
            self = .mutex
        default:
            if name.hasPrefix("fuse_") || name.hasPrefix("__fuse_") {
                self = .server
            } else if name.hasPrefix("folio_wait_") || name.hasPrefix("__folio_lock")
                || name.hasPrefix("__lock_page")
                || name.hasPrefix("wait_on_page_bit")
            {
                self = .page
            } else {
                return nil
            }
        }
    }
}
