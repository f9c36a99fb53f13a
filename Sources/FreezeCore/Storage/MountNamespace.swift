/// A mount namespace other than our own (mount_namespaces(7)), named by a process or thread in the namespace.
public struct MountNamespace: Hashable, Sendable, CustomStringConvertible {
    /// The namespace's inode number, the one of `/proc/PID/ns/mnt`: no two that live share it.
    public let inode: UInt64
    /// One of the processes in it, by the number we know it by.
    public let processID: Int32
    /// The thread in the namespace, if the main thread is in another namespace or has ended.
    public let threadID: Int32?
    /// The process's name, as ps shows it (proc_pid_comm(5)). It chose it itself.
    public let command: String

    public init(inode: UInt64, processID: Int32, threadID: Int32? = nil, command: String) {
        self.inode = inode
        self.processID = processID
        self.threadID = threadID
        self.command = command
    }

    public var description: String {
        "the mount namespace of \(threadID.map { "thread \($0) of " } ?? "")process \(processID) "
            + "(\(escapedControlCharacters(command)))"
    }
}
