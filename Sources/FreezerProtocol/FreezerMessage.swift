import FreezeCore
import SystemPackage

/// Names one request between daemon and freezer, so that late news of one is not taken for the next one's.
public struct FreezerRequestID: Hashable, Sendable {
    public let number: Int

    public init(number: Int) {
        self.number = number
    }

    /// Of what belongs to no request.
    public static let none = FreezerRequestID(number: 0)
}

/// What the daemon tells the freezer. One packet each.
public enum FreezerCommand: Hashable, Sendable {
    /// A new request with this many superblocks. Carries the ledger's descriptor.
    case prepare(FreezerRequestID, superblockCount: Int)
    /// Descriptors of the superblocks from this index on, in the ledger's order. Carries them.
    case descriptors(firstIndex: Int)
    /// Freeze every superblock of a step; thaw everything if not all steps are frozen by the first deadline, and
    /// at the second one in any case.
    case freeze(step: Int, freezeDeadline: Moment, windowDeadline: Moment)
    /// Thaw everything, step by step, the last frozen first.
    case thaw
    /// The request is over: close its descriptors.
    case release
}

/// What the freezer tells the daemon. One packet each.
public struct FreezerReport: Hashable, Sendable {
    /// The request it is about.
    public let request: FreezerRequestID
    public let news: FreezerNews

    public init(_ request: FreezerRequestID, _ news: FreezerNews) {
        self.request = request
        self.news = news
    }
}

/// What there is to report.
public enum FreezerNews: Hashable, Sendable {
    /// It is locked in memory and can take a request.
    case ready
    /// It has every descriptor, and a thread waiting for each.
    case prepared
    /// It could not get ready for the request.
    case prepareFailed(Errno)
    /// A FIFREEZE returned; nil for success.
    case froze(index: Int, error: Errno?, started: Moment, ended: Moment)
    /// It thaws of its own accord.
    case thawing(ThawCause)
    /// A FITHAW returned; nil for success, EINVAL if somebody else had thawed it. After any other error it is
    /// tried again and reported again. ECANCELED: the daemon had taken over.
    case thawed(index: Int, error: Errno?, started: Moment, ended: Moment)
    /// Whatever could be thawed is; superblocks whose FIFREEZE hangs are thawed, and reported, when it returns.
    case thawFinished
    /// The descriptors are closed.
    case released
}
