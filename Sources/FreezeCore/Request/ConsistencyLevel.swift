/// How good a snapshot is that was taken in the window of a request.
public enum ConsistencyLevel: String, Sendable, Hashable, CaseIterable, Comparable {
    /// Something could only be flushed: what a power failure would have left, at best.
    case crash
    /// Every planned filesystem was frozen, but the applications were not asked, or not all agreed.
    case filesystem
    /// At least one hook did its work, none failed, and every planned filesystem was frozen.
    case application

    public static func < (left: ConsistencyLevel, right: ConsistencyLevel) -> Bool {
        left.rank < right.rank
    }

    private var rank: Int {
        switch self {
        case .crash: 0
        case .filesystem: 1
        case .application: 2
        }
    }
}
