import SystemPackage

/// The driver's findings about the window, read before the THAW that ends the window. The snapshot exists by then.
public struct WindowFindings: Hashable, Sendable {
    /// A frozen filesystem whose devices were written to: another agent has thawed the filesystem.
    public var written: FilePath?
    /// A filesystem outside the plan that became writable in the window; or the reason why the mount tables could not
    /// be read.
    public var becameWritable: String?

    public init(written: FilePath? = nil, becameWritable: String? = nil) {
        self.written = written
        self.becameWritable = becameWritable
    }

    public static let none = WindowFindings()
}

/// The driver's findings at a deadline, for the reason of a failure.
public struct DeadlineFindings: Hashable, Sendable {
    /// Dirty memory; read only if `RequestMachine.quotesMemory`.
    public var memory: DirtyMemory?
    /// By the ledger, `quiescectl recover --force` has ended the request. The killed freezer does not exit before
    /// FIFREEZE returns.
    public var isEndedByForce: Bool

    public init(memory: DirtyMemory? = nil, isEndedByForce: Bool = false) {
        self.memory = memory
        self.isEndedByForce = isEndedByForce
    }

    public static let none = DeadlineFindings()
}
