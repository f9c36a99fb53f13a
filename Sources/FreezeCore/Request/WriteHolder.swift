import SystemPackage

/// A task that sleeps inside a write, where FIFREEZE waits for it: until somebody sends what it waits for, and no user
/// needs a privilege to write so.
public struct WriteHolder: Hashable, Sendable {
    /// One sleep of one task. A task that wakes, if only for a moment, counts a switch.
    public struct Sleep: Hashable, Sendable {
        public let threadID: Int32
        /// `voluntary_ctxt_switches` of proc_pid_status(5).
        public let switches: UInt64
        /// The kernel function it sleeps in.
        public let function: String
        /// The line of proc_pid_syscall(5).
        public let systemCall: String

        public init(threadID: Int32, switches: UInt64, function: String, systemCall: String) {
            self.threadID = threadID
            self.switches = switches
            self.function = function
            self.systemCall = systemCall
        }
    }

    public let processID: Int32
    /// The process's name, as it calls itself.
    public let command: String
    public let userID: UInt32
    /// As the process sees the path; nil if the kernel does not tell it.
    public let file: FilePath?
    /// The planned filesystem that is written to; nil if the mount is in no table, so that it may be any.
    public let mountPoint: FilePath?
    /// The FUSE connection that is to send the data, if it is waited for: a killed task still waits for its server.
    public let connection: UInt32?
    public let sleep: Sleep

    public init(
        processID: Int32, command: String, userID: UInt32, file: FilePath?, mountPoint: FilePath?,
        connection: UInt32? = nil, sleep: Sleep
    ) {
        self.processID = processID
        self.command = command
        self.userID = userID
        self.file = file
        self.mountPoint = mountPoint
        self.connection = connection
        self.sleep = sleep
    }

    /// A clause, safe to show.
    public var description: String {
        let target = file.map { " to \($0.escaped)" } ?? ""
        return
            "process \(processID) (\(escapedControlCharacters(command))) of user \(userID) sleeps in a write\(target)"
    }

    /// A sentence.
    public var remedy: String {
        let abort = connection.map {
            ", and if it stays, end its FUSE server with `echo 1 >/sys/fs/fuse/connections/\($0)/abort`"
        }
        return "Run `kill \(processID)`\(abort ?? "")."
    }
}
