import FreezeCore
import FreezerProtocol
import Hooks
import LinuxCalls
import SystemPackage

/// What recovery found and did.
public struct RecoveryResult: Sendable {
    public struct Line: Sendable {
        public let mountPoint: FilePath
        public let outcome: RecoveryOutcome
        /// Its place in the ledger. The mount point may be another filesystem's as well, in another mount namespace.
        let index: Int

        /// What nobody can open is for the admin: to watch it would block every backup of the rest.
        var mustBeWatched: Bool { !outcome.isSettled && outcome != .notMounted }
    }

    public let requestID: RequestID
    /// The superblocks that were not settled, and what became of them.
    public let lines: [Line]
    /// Hooks that were started and are owed their thaw, in its order.
    public let hooksOwedThaw: [String]
    let ledger: Ledger
    private let runDirectory: RunDirectory
    private let recovery: Recovery

    init(
        ledger: Ledger, outcomes: [Int: RecoveryOutcome], runDirectory: RunDirectory, recovery: Recovery
    ) {
        self.ledger = ledger
        self.runDirectory = runDirectory
        self.recovery = recovery
        requestID = RequestID(ledger.requestID)
        hooksOwedThaw = ledger.hooksOwedThaw.map { ledger.hooks[$0] }
        lines = outcomes.sorted { $0.key < $1.key }.map {
            Line(mountPoint: ledger.superblocks[$0.key].mountPoint, outcome: $0.value, index: $0.key)
        }
    }

    /// Whether its host was told that its snapshot is good: then only the thaw hooks were cut short.
    public var wasGood: Bool { ledger.outcome != nil }

    public var isEverythingThawed: Bool { lines.allSatisfy(\.outcome.isSettled) }

    /// Removes the ledger of a good request without outstanding hooks. A living daemon removes the ledger at the end of the
    /// request; if the daemon dies first, the next instance records the request.
    public func removeLedgerIfDone() {
        if ledger.daemon.isAlive { return }
        // The next start records a lost request, and answers the THAW of the channel with failure.
        let wasGood = ledger.outcome != nil
        if isEverythingThawed && hooksOwedThaw.isEmpty && wasGood { runDirectory.remove(ledger) }
    }

    /// For the state machine.
    func leftover(_ hookSources: HookSources) -> Leftover {
        Leftover(
            requestID: requestID, channel: ChannelID(name: ledger.channel), options: ledger.options,
            hooksOwedThaw: hooksOwedThaw.map { PlannedHook(hookSources.hook(named: $0)) },
            stuck: lines.filter(\.mustBeWatched).map(\.mountPoint), outcome: ledger.outcome,
            isEndedByHand: ledger.isEndedByHand)
    }

    /// Keeps trying what hangs; calls back for each that is done. Blocks until the last one is: for ever, if need be.
    public func watchStuck(_ settled: (FilePath) -> Void = { _ in }) {
        var open = lines.filter(\.mustBeWatched)
        while !open.isEmpty {
            let outcomes = recovery.thaw(ledger, until: Moment.now + .seconds(5))
            let unsettled = Set(ledger.unsettled)
            let done = open.filter { !unsettled.contains($0.index) || outcomes[$0.index]?.isSettled == true }
            open.removeAll { line in done.contains { $0.index == line.index } }
            for line in done { settled(line.mountPoint) }
            // One that cannot be opened answers at once: not in a tight loop.
            _ = pollDescriptors([], until: Moment.now + .seconds(1))
        }
    }

    /// For the log.
    public var notes: [LogNote] {
        var notes = [
            LogNote(
                .warning,
                ledger.outcome == nil
                    ? "request \(requestID) was cut short by the end of the quiesced that served it"
                    : "request \(requestID) was a good one, but the quiesced that served it ended before its thaw hooks had"
            )
        ]
        for line in lines {
            notes.append(LogNote(line.outcome.isSettled ? .warning : .error, line.description))
        }
        return notes
    }
}

extension RecoveryResult.Line: CustomStringConvertible {
    public var description: String {
        let name = mountPoint.escaped
        return switch outcome {
        case .thaw(.thawed): "\(name): thawed"
        case .thaw(.thawedBySomebodyElse): "\(name): was not frozen any more"
        case .thaw(.nothingToDo): "\(name): thawed by the freezer"
        case .thaw(.failed(let error)): "\(name): thawing it fails: \(error); look at the kernel's log"
        case .thaw(.unfinished):
            "\(name): its freeze or thaw hangs in the kernel; find and end what it waits for (`ps`, /proc/PID/stack)"
        case .gone: "\(name): not mounted any more, and nothing of it is left to be frozen"
        case .replaced: "\(name): another filesystem by now, or mounted anew since; that is left alone"
        case .watchedByFreezer: "\(name): its freeze hangs in the kernel; the freezer thaws it when that returns"
        case .notMounted:
            "\(name): it is not mounted any more, but may still be frozen. Mount its device once more: that gives "
                + "the same superblock; then run `fsfreeze -u` on it"
        case .unreachable(let reason): reason
        }
    }
}
