import FreezeCore
import FreezerProtocol
import LinuxCalls
import Synchronization

/// The outcome of the recovery of one superblock.
public enum RecoveryOutcome: Hashable, Sendable {
    case thaw(ThawOutcome)
    /// FIFREEZE hangs in a running freezer, which thaws when FIFREEZE returns.
    case watchedByFreezer
    /// In no mount table, and the device has no live filesystem: nothing can be frozen.
    case gone
    /// Another filesystem has the device number now, and was left alone.
    case replaced
    /// In no mount table: no process can be stuck on the filesystem, but the filesystem may still be frozen.
    case notMounted
    /// The filesystem could not be opened.
    case unreachable(String)

    /// Whether no freeze of quiesce can be left.
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

    /// Every outcome is unfinished at first.
    init(of indices: [Int]) {
        outcomes = Mutex(Dictionary(uniqueKeysWithValues: indices.map { ($0, .thaw(.unfinished)) }))
        remaining = try? Countdown(from: indices.count)
    }

    func add(_ index: Int, _ outcome: RecoveryOutcome) {
        outcomes.withLock { $0[index] = outcome }
        _ = remaining?.countDown()
    }

    var soFar: [Int: RecoveryOutcome] { outcomes.withLock { $0 } }

    func wait(until deadline: Moment) -> [Int: RecoveryOutcome] {
        if !soFar.isEmpty { _ = remaining?.wait(until: deadline) }
        return soFar
    }
}
