import SystemPackage

/// A task that sleeps inside a write until another process sends data. FIFREEZE waits for such a task, and no user
/// needs a privilege to write so.
public struct WriteHolder: Hashable, Sendable {
    /// One write of one task, and its progress: two looks that find equal values have found a write that stands still. The
    /// task may have woken up meanwhile, as it does for every page that a FUSE server sends.
    public struct Write: Hashable, Sendable {
        public let threadID: Int32
        /// The line of proc_pid_syscall(5).
        public let systemCall: String
        /// The position in the file (`pos` of proc_pid_fdinfo(5)). Where the kernel does not show the position of the
        /// write, how often the task has slept (`voluntary_ctxt_switches` of proc_pid_status(5)).
        public let progress: UInt64

        public init(threadID: Int32, systemCall: String, progress: UInt64) {
            self.threadID = threadID
            self.systemCall = systemCall
            self.progress = progress
        }
    }

    public let processID: Int32
    /// The process's name, which the process chooses.
    public let command: String
    public let userID: UInt32
    /// The path in the process's own mount namespace; nil if the kernel does not show the path.
    public let file: FilePath?
    /// The planned filesystem that is written to; nil if any may be meant, since the mount is in no table.
    public let mountPoint: FilePath?
    /// How to end the process, as a sentence.
    public let remedy: String
    /// Nil in a record from a file.
    public let write: Write?

    public init(
        processID: Int32, command: String, userID: UInt32, file: FilePath?, mountPoint: FilePath?, remedy: String,
        write: Write?
    ) {
        self.processID = processID
        self.command = command
        self.userID = userID
        self.file = file
        self.mountPoint = mountPoint
        self.remedy = remedy
        self.write = write
    }

    /// - Parameter connection: The FUSE connection that the task waits for, if any: a killed task still waits for its
    ///   server.
    public init(
        processID: Int32, command: String, userID: UInt32, file: FilePath?, mountPoint: FilePath?,
        connection: UInt32? = nil, write: Write
    ) {
        let abort = connection.map {
            ", and if it stays, end its FUSE server with `echo 1 >/sys/fs/fuse/connections/\($0)/abort`"
        }
        self.init(
            processID: processID, command: command, userID: userID, file: file, mountPoint: mountPoint,
            remedy: "Run `kill \(processID)`\(abort ?? "").", write: write)
    }

    /// A clause, safe to show.
    public var description: String {
        let target = file.map { " to \($0.escaped)" } ?? ""
        return
            "process \(processID) (\(escapedControlCharacters(command))) of user \(userID) sleeps in a write\(target)"
    }
}
