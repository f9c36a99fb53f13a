import FreezeCore
import Glibc
import Ledger
import LinuxCalls
import LinuxSystem
import Synchronization
import SystemPackage

/// Thaws what a ledger names after its owners died: at the daemon's start, and by `quiescectl recover`.
public struct Recovery: Sendable {
    public enum Mode: Sendable, Hashable {
        /// By the daemon that holds the run directory's lock: whoever wrote the ledger is gone.
        case atStart
        /// By hand or by systemd: refused while the daemon lives, unless forced.
        case byHand(isForced: Bool)
    }

    /// How long an orphaned freezer is given to thaw by itself, and our own thaw to finish.
    private static let patience = Duration.seconds(10)

    private let runDirectory: RunDirectory
    private let me: ProcessIdentity

    public init(runDirectory: RunDirectory, me: ProcessIdentity = .current) {
        self.runDirectory = runDirectory
        self.me = me
    }

    /// Blocks, for some 20 seconds at most.
    ///
    /// - Returns: Nil if there is no unfinished request.
    public func run(_ mode: Mode) throws(RecoveryError) -> RecoveryResult? {
        let ledger: Ledger
        do {
            guard let found = try runDirectory.openLedger() else { return nil }
            ledger = found
        } catch {
            throw RecoveryError(error)
        }
        let freezer = ledger.freezer?.handle
        if case .byHand(let isForced) = mode, ledger.daemon.isAlive {
            guard isForced else { throw RecoveryError(ownerAlive: ledger) }
            try? freezer?.send(signal: SIGKILL)
        } else if let freezer {
            waitForOrphan(freezer, ledger)
        }
        let outcomes = thaw(ledger, freezer, until: Moment.now + Self.patience)
        return RecoveryResult(ledger: ledger, outcomes: outcomes, runDirectory: runDirectory, recovery: self)
    }

    /// A freezer whose daemon died thaws by itself. One that does not, though nothing of it hangs in the kernel, is
    /// stopped or broken: it is killed.
    private func waitForOrphan(_ freezer: ProcessHandle, _ ledger: Ledger) {
        let deadline = Moment.now + Self.patience
        while Moment.now < deadline, !ledger.unsettled.isEmpty {
            if freezer.waitForEnd(atMost: .milliseconds(20)) { return }
        }
        if !ledger.unsettled.isEmpty { try? freezer.send(signal: SIGKILL) }
    }

    /// Thaws every unsettled superblock, each on a thread of its own, and tells how it went by the deadline.
    func thaw(_ ledger: Ledger, _ freezer: ProcessHandle?, until deadline: Moment) -> [Int: RecoveryOutcome] {
        let thaw = OrphanThaw(ledger: ledger, me: me, freezer: freezer)
        let unsettled = ledger.unsettled
        let work = unsettled.map { index in
            { @Sendable () -> RecoveryOutcome in
                do throws(LinuxSystemError) {
                    let target = try Self.open(ledger.superblocks[index])
                    defer { TargetOpener.close([target]) }
                    return .thaw(thaw.thaw(index, through: target.descriptor, until: deadline))
                } catch {
                    return .unreachable("\(error)")
                }
            }
        }
        // A little longer than the threads take, so that their own words are heard.
        let outcomes = AbandonableWork.run(work, until: deadline + .milliseconds(500))
        return Dictionary(uniqueKeysWithValues: zip(unsettled, outcomes.map { $0 ?? .thaw(.unfinished) }))
    }

    /// Finds the superblock in the mount table of now, by its device number; where it was mounted, if it still is.
    private static func open(
        _ superblock: LedgerContents.Superblock
    ) throws(LinuxSystemError) -> TargetOpener.Target {
        let mounts = try MountTableWatch().read().filter { $0.device == superblock.device }
        let mount = mounts.first { $0.mountPoint == superblock.mountPoint } ?? mounts.first
        guard let mount else { throw LinuxSystemError.notMounted(superblock.mountPoint, superblock.device) }
        let filesystem = PlannedFilesystem(
            device: superblock.device, mount: mount, action: .freeze, reason: "named by the ledger")
        return try TargetOpener().open(FreezePlan(filesystems: [filesystem]))[0]
    }
}

/// How one superblock fared.
public enum RecoveryOutcome: Hashable, Sendable {
    case thaw(ThawOutcome)
    /// It could not even be opened.
    case unreachable(String)

    /// Whether nothing of ours can be left in it.
    public var isSettled: Bool {
        switch self {
        case .thaw(.thawed), .thaw(.thawedBySomebodyElse), .thaw(.nothingToDo): true
        case .thaw(.failed), .thaw(.unfinished), .unreachable: false
        }
    }
}
