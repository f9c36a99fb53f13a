import FreezeCore
import Hooks
import LinuxCalls
import LinuxSystem
import Synchronization
import SystemPackage

/// Everything of a request that is looked up by path, looked up once: from here on only descriptors are used.
///
/// Closes its descriptors when nobody needs it any more.
final class OpenedRequest: Sendable {
    private let policy: PlanPolicy
    let plan: FreezePlan
    let hooks: [HookCandidate]
    /// Freeze targets first, in the plan's order, then the ones to sync.
    let targets: [TargetOpener.Target]
    /// Those to freeze, in the order of the ledger and of the state machine's indices.
    let freezeTargets: [OpenedFilesystem]
    let mountTables: MountTables
    /// The `life` of each filesystem in no mount table at the time of the plan.
    private let unreachable: Set<UInt64>
    private let withdrawn = Atomic(false)

    init(
        policy: PlanPolicy, plan: FreezePlan, freezes: Bool, hooks: [HookCandidate],
        targets: [TargetOpener.Target], mountTables: MountTables, unreachable: [UnreachableFilesystem]
    ) {
        self.policy = policy
        self.plan = plan
        self.unreachable = Set(unreachable.compactMap(\.life))
        self.hooks = hooks
        self.targets = targets
        self.mountTables = mountTables
        freezeTargets = OpenedFilesystem.all(of: freezes ? targets.filter { $0.filesystem.action == .freeze } : [])
    }

    /// Whether the request has ended, or was planned again: a hanging flush that returns starts no program any more, since
    /// the window of a later request may be open (P7).
    var isWithdrawn: Bool { withdrawn.load(ordering: .acquiring) }

    func withdraw() { withdrawn.store(true, ordering: .releasing) }

    /// On a thread of its own: the last descriptor of a filesystem that was unmounted meanwhile, or of a mount namespace
    /// that nobody is in any more, unmounts for good, and that waits for the device.
    deinit {
        let targets = targets
        let tables = mountTables
        let close: @Sendable () -> Void = {
            TargetOpener.close(targets)
            tables.close()
        }
        if (try? OperatingSystemThread.start("close", close)) == nil { close() }
    }

    /// The frozen mount points for hooks: in our own namespace, and not covered. The path of a covered mount leads
    /// elsewhere.
    var ownMountPoints: [FilePath] {
        targets.map(\.filesystem).filter { $0.action == .freeze && $0.isInSight }.map(\.mountPoint)
    }

    /// The longest time that writers wait for changed mount tables to be read in the window. Some 20,000 mounts can
    /// be read in that time; a user can add a thousand (mount_max of fuse.conf(5)), and a changed table is read
    /// once.
    static let windowPatience = Duration.milliseconds(100)

    /// The mount or unmount that invalidates the plan, before the first freeze. Opens paths, and may block.
    func mountChange() -> String? {
        do throws(LinuxSystemError) {
            try mountTables.findNamespaces()
            let (mounts, new) = try mountTables.readWithUnreachable(except: unreachable)
            return plan.relevantChange(in: mounts, policy: policy)
                ?? new.first.map { "\($0.summary) is in no mount table any more" } ?? mountTables.unseen.first
        } catch {
            return "\(error)"
        }
    }

    /// Like ``mountChange()``, while filesystems are frozen: opens nothing, and does not see new mount
    /// namespaces (P7). May block.
    func mountChangeWhileFrozen() -> String? {
        readInWindow { mounts in plan.relevantChange(in: mounts, policy: policy) }
    }

    /// A filesystem that became writable in the window; the snapshot may hold the filesystem half written. An
    /// unmount harms no snapshot. Waits for ``windowPatience`` at most.
    func newlyWritable() -> String? {
        guard mountTables.hasChanged() else { return nil }
        let work: @Sendable () -> String? = { [self] in
            readInWindow { mounts in plan.newlyWritable(in: mounts, policy: policy) }
        }
        // A mount in progress locks the table until the mount is complete.
        let found = AbandonableWork.run([work], until: .now + Self.windowPatience)[0]
        return found ?? "it could not be read within \(DurationText.text(Self.windowPatience))"
    }

    /// A table that cannot be read counts as changed: a needless failure is better than a false success.
    private func readInWindow(_ compare: ([MountEntry]) -> String?) -> String? {
        do throws(LinuxSystemError) {
            return compare(try mountTables.readInWindow(until: .now + Self.windowPatience))
        } catch {
            return "\(error)"
        }
    }

    var plannedHooks: [PlannedHook] {
        hooks.map { candidate in
            let refusal: String? = if case .refused(let reason) = candidate.verdict { reason } else { nil }
            return PlannedHook(candidate.hook, refusal: refusal)
        }
    }
}

extension PlannedHook {
    /// For the state machine.
    init(_ hook: Hook, refusal: String? = nil) {
        self.init(
            name: hook.name, kind: hook.kind, refusal: refusal, timeout: hook.timeout, onFailure: hook.onFailure)
    }
}

/// Why a request could not be made ready, and the plan as far as there was one.
struct PreparationFailure: Error {
    let reason: String
    let plan: FreezePlan?
    /// The one that is to blame, if one is.
    var mountPoint: FilePath?
}

extension OpenedRequest {
    /// How often the plan is made anew because a filesystem went away before it was opened.
    private static let attempts = 5

    /// Reads the machine, plans, opens. Blocks for as long as a device takes to answer: runs on a thread of its own,
    /// and nobody waits for it past the state machine's deadline.
    ///
    /// - Parameters:
    ///   - freezes: Whether filesystems will be frozen: then the plan must be complete, and not empty.
    ///   - hooks: The hooks of the request's first plan, when it is planned again: they have run already.
    ///   - isWanted: Asked between the steps; if not, nothing more is opened.
    static func open(
        policy: PlanPolicy, freezes: Bool = true, hookSources: HookSources, keeping hooks: [HookCandidate]? = nil,
        isWanted: () -> Bool = { true }
    ) throws(PreparationFailure) -> OpenedRequest {
        var attempt = 1
        while true {
            var plan: FreezePlan?
            do {
                return try open(policy, freezes, hookSources, hooks, isWanted) { plan = $0 }
            } catch let error as LinuxSystemError
                where attempt < attempts && (error.code == .unmounted || error.code == .replaced)
            {
                // What is unmounted between the look at the table and the opening need not be frozen.
                attempt += 1
            } catch {
                let mountPoint = (error as? LinuxSystemError)?.mountPoint ?? (error as? PlanError)?.mountPoint
                throw PreparationFailure(reason: "\(error)", plan: plan, mountPoint: mountPoint)
            }
        }
    }

    private static func open(
        _ policy: PlanPolicy, _ freezes: Bool, _ hookSources: HookSources, _ hooks: [HookCandidate]?,
        _ isWanted: () -> Bool,
        planned: (FreezePlan) -> Void
    ) throws -> OpenedRequest {
        let tables = try MountTables(policy.mountNamespaces)
        let inventory = try StorageInventory.survey(tables)
        let plan = try FreezePlan.make(from: inventory, policy: policy)
        planned(plan)
        if freezes {
            try plan.requireSomethingToFreeze()
            try plan.requireComplete()
        }
        guard isWanted() else { throw CancellationError() }
        let hooks = try hooks ?? hookSources.scan()
        guard isWanted() else { throw CancellationError() }
        let targets = try TargetOpener(tables).open(plan, isWanted: isWanted)
        guard isWanted() else {
            TargetOpener.close(targets)
            throw CancellationError()
        }
        // A target may have had to be reached through another mount than planned.
        let reached = Dictionary(targets.map { ($0.filesystem.device, $0.filesystem) }) { first, _ in first }
        let opened = FreezePlan(
            filesystems: plan.filesystems.map { reached[$0.device] ?? $0 }, notes: plan.notes,
            unreachable: plan.unreachable)
        return OpenedRequest(
            policy: policy, plan: opened, freezes: freezes, hooks: hooks, targets: targets, mountTables: tables,
            unreachable: inventory.unreachable)
    }
}
