import FreezeCore
import FreezerProtocol
import LinuxCalls
import LinuxSystem
import SystemPackage

/// Around and in the window: looking at the mount table through what is open already, and thawing in the freezer's
/// place.
extension Coordinator {
    /// How long the look that HOT_BACKUP has asked for is waited for before the first freeze.
    private static let assessmentPatience = Duration.seconds(2)

    /// Before the first freeze.
    func checkMounts(_ work: WorkID) {
        guard let resources, let opened = resources.opened, let ledger = resources.ledger else { return }
        let mailbox = mailbox
        let assessment = assessment
        let limit = Moment.now + Self.assessmentPatience
        let runDirectory = runDirectory
        blockingWork("mounts") {
            // It opens paths, and FREEZE may come as soon as its HOT_BACKUP was answered. One that hangs opens
            // nothing more when it comes back.
            _ = assessment.waitForEnd(until: limit)
            var change = opened.mountChange()
            // Without it the third guard would find nothing to thaw (P1). A new plan makes a new one.
            if !runDirectory.holds(ledger) { change = "\(runDirectory.ledgerPath.escaped) was removed" }
            mailbox.post(.mountsChecked(work, change: change, allFrozen: false))
        } orElse: { error in
            mailbox.post(.mountsChecked(work, change: "no thread to read it: \(error)", allFrozen: false))
        }
    }

    /// While session hooks hold.
    func pollMounts(_ work: WorkID) {
        guard let opened = resources?.opened else { return }
        compareOpenTables(work, opened, allFrozen: false)
    }

    func verify(_ work: WorkID) {
        guard let resources, let opened = resources.opened, let ledger = resources.ledger else { return }
        let allFrozen = freezer.process.map { ledger.allFrozen(by: $0.identity) } ?? false
        for filesystem in opened.freezeTargets { filesystem.written?.markAsFrozen() }
        compareOpenTables(work, opened, allFrozen: allFrozen)
    }

    /// The usual case costs one poll for each table.
    private func compareOpenTables(_ work: WorkID, _ opened: OpenedRequest, allFrozen: Bool) {
        let mailbox = mailbox
        guard opened.mountTables.hasChanged() else {
            return mailbox.post(.mountsChecked(work, change: nil, allFrozen: allFrozen))
        }
        blockingWork("mounts") {
            mailbox.post(.mountsChecked(work, change: opened.mountChangeWhileFrozen(), allFrozen: allFrozen))
        } orElse: { error in
            mailbox.post(.mountsChecked(work, change: "no thread to read it: \(error)", allFrozen: allFrozen))
        }
    }

    /// Noted in the ledger, so that the recovery resets the setting after a crash.
    func expediteRCU(_ isExpedited: Bool) {
        guard let expeditedRCU, let ledger = resources?.ledger else { return }
        if isExpedited {
            expeditedRCU.begin { ledger.setExpeditesRCU(true) }
        } else {
            expeditedRCU.end()
            ledger.setExpeditesRCU(false)
        }
    }

    /// Before the THAW that ends the window, looks for writes to frozen filesystems, and for newly writable
    /// filesystems. Later changes are in no snapshot, since the host has taken the snapshot by now. Usually costs
    /// one poll for each mount table. If a table has changed, this thread waits for `OpenedRequest.windowPatience`
    /// at most: no other work is due before the thaw.
    func windowFindings(before channel: ChannelID, _ wish: ThawWish) -> WindowFindings {
        guard machine.endsWindow(channel, wish), let opened = resources?.opened else { return .none }
        let written = opened.freezeTargets.first { $0.written?.hasGrown == true }
        let change = opened.newlyWritable()
        // Our own thaw, at the end of the window, writes as well: the freezer tells of that before it begins, and then
        // the THAW ends no window any more.
        receiveFreezerNews()
        return WindowFindings(written: written?.target.filesystem.mountPoint, becameWritable: change)
    }

    /// A freezer that was killed while its FIFREEZE hangs is not waited for: it can do nothing any more.
    func thaw() {
        command(.thaw)
        if freezer.isDying { mailbox.post(.freezerHangs) }
    }

    /// The freezer is dead, or will be: a FIFREEZE of it that hangs keeps its process, so each superblock has a
    /// thread that tries until that is gone.
    func takeOverThaw() {
        guard let resources, let opened = resources.opened, let ledger = resources.ledger else { return }
        let process: ProcessHandle?
        do throws(Errno) {
            // The autoclosure of ?? would lose the error's type.
            if let running = freezer.process {
                process = running
            } else {
                process = try ledger.freezer?.openStored()
            }
        } catch {
            // To take it for dead would end the watch on what hangs in it.
            return mailbox.post(.takeOverDue(resources.requestID), after: .milliseconds(100))
        }
        freezer.kill()
        ledger.fencePlanned(by: me)
        let thaw = OrphanThaw(ledger: ledger, me: me, freezer: process)
        let targets = opened.freezeTargets
        let mailbox = mailbox
        blockingWork("take over") {
            OrphanThaw.inOrder(ledger) { index in
                let started = Moment.now
                let outcome = thaw.thaw(index, through: targets[index].target.descriptor, until: nil)
                withExtendedLifetime(opened) {}
                let result = TimedResult(error: outcome.error, started: started, ended: Moment.now)
                mailbox.post(.thawedInPlace(resources.requestID, index, result))
            }
        } orElse: { _ in
            mailbox.post(.takeOverDue(resources.requestID), after: .milliseconds(100))
        }
    }
}

extension ThawOutcome {
    /// As FITHAW would have said it.
    fileprivate var error: Errno? {
        switch self {
        case .thawed, .nothingToDo: nil
        case .thawedBySomebodyElse: .invalidArgument
        case .failed(let error): error
        case .unfinished: .resourceBusy
        }
    }
}
