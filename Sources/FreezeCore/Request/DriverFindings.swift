import SystemPackage

/// What the driver finds when it looks back on the window, before it brings the THAW that ends the window: the host has
/// its snapshot by then.
public struct WindowFindings: Hashable, Sendable {
    /// Something was written to this filesystem's devices since all was frozen: another agent has thawed it.
    public var written: FilePath?
    /// A filesystem that is neither frozen nor flushed became writable since all was frozen: the mount, or the reason
    /// why the mount tables could not be read.
    public var becameWritable: String?

    public init(written: FilePath? = nil, becameWritable: String? = nil) {
        self.written = written
        self.becameWritable = becameWritable
    }

    public static let none = WindowFindings()
}

/// What the driver reads when a deadline has come, since the reason of a failure may lie there.
public struct DeadlineFindings: Hashable, Sendable {
    /// What is unwritten; read only if `RequestMachine.quotesMemory`.
    public var memory: DirtyMemory?
    /// The ledger says that `quiescectl recover --force` has ended the request. The freezer, which that has killed, does
    /// not end before its FIFREEZE returns.
    public var isEndedByForce: Bool

    public init(memory: DirtyMemory? = nil, isEndedByForce: Bool = false) {
        self.memory = memory
        self.isEndedByForce = isEndedByForce
    }

    public static let none = DeadlineFindings()
}
