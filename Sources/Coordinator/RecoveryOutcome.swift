import FreezeCore
import FreezerProtocol
import LinuxCalls
import Synchronization

/// The outcome of the recovery of one superblock.
public enum RecoveryOutcome: Hashable, Sendable {
    case thaw(ThawOutcome)
    /// Its FIFREEZE hangs in a freezer that lives, and thaws it when that returns.
    case watchedByFreezer
    /// It is in no mount table any more, and no filesystem lives on its device: nothing can be frozen.
    case gone
    /// Its place is another filesystem's now. Nothing was done to that.
    case replaced
    /// It is in no mount table any more: nobody can be stuck on it, but it may still be frozen.
    case notMounted
    /// It could not even be opened.
    case unreachable(String)

    /// Whether nothing of ours can be left in it.
    public var isSettled: Bool {
        switch self {
        case .thaw(.thawed), .thaw(.thawedBySomebodyElse), .thaw(.nothingToDo), .gone, .replaced: true
        case .thaw(.failed), .thaw(.unfinished), .watchedByFreezer, .notMounted, .unreachable: false
        }
    }
}

/// Collects the outcomes of the threads.
final class RecoveryOutcomes: Sendable {
    private let outcomes: Mutex<[Int: RecoveryOutcome]>
    private let remaining: Countdown?

    /// Unfinished, all of them, until more is known.
    init(of indices: [Int]) {
        outcomes = Mutex(Dictionary(uniqueKeysWithValues: indices.map { ($0, .thaw(.unfinished)) }))
        remaining = try? Countdown(from: indices.count)
    }

    func add(_ index: Int, _ outcome: RecoveryOutcome) {
        outcomes.withLock { $0[index] = outcome }
        _ = remaining?.step()
    }

    var soFar: [Int: RecoveryOutcome] { outcomes.withLock { $0 } }

    func wait(until deadline: Moment) -> [Int: RecoveryOutcome] {
        if !soFar.isEmpty { _ = remaining?.wait(until: deadline) }
        return soFar
    }
}
