import SystemPackage

/// A search for tasks that hold write access while they sleep.
struct WriteHolderSearch: Sendable {
    enum Purpose: Sendable {
        /// Beside a flush: a FIFREEZE would hang.
        case beforeFreezing
        /// A FIFREEZE hangs.
        case stuck
    }

    let id: WorkID
    let purpose: Purpose
    /// Tasks that the first look has found. Each gets `writeHolderPatience` to make progress, as an ordinary writer
    /// does.
    var suspects: [WriteHolder] = []
    /// True while a look is under way; false while the suspects get their time.
    var isLooking = true
    var limit: Moment
}

/// FIFREEZE waits for every write that has begun, and cannot be cancelled. So tasks that sleep inside a write are
/// searched for during both flushes (before the first hook locks anything, and before the first FIFREEZE), and when a
/// FIFREEZE hangs.
extension RequestMachine {
    // MARK: Before freezing

    /// Begins the search during a flush, as part of the flush's work: the flush ends when both are done.
    mutating func beginSearch(beside work: WorkID) {
        search = WriteHolderSearch(id: work, purpose: .beforeFreezing, limit: now + policy.writeHolderPatience)
        emit(.findWriteHolders(work, request?.targets ?? []))
    }

    mutating func writeHoldersFound(_ holders: [WriteHolder]) {
        guard let search, search.isLooking else { return }
        switch search.purpose {
        case .stuck:
            nameHolders(holders)
            endSearch()
        case .beforeFreezing where search.suspects.isEmpty:
            if holders.isEmpty { return endSearch() }
            self.search?.suspects = holders
            self.search?.isLooking = false
            self.search?.limit = now + policy.writeHolderPatience
        case .beforeFreezing:
            let standing = Set(holders.map(\.write))
            let held = search.suspects.filter { standing.contains($0.write) }
            if held.isEmpty { endSearch() } else { refuse(held) }
        }
    }

    mutating func searchTimedOut() {
        guard let search else { return }
        if search.purpose == .beforeFreezing {
            if !search.isLooking {
                self.search?.isLooking = true
                self.search?.limit = now + policy.writeHolderPatience
                return emit(.findWriteHolders(search.id, request?.targets ?? []))
            }
            // Suspects that could not be looked at again count as asleep.
            if !search.suspects.isEmpty { return refuse(search.suspects) }
            note(
                .warning, "the search for processes that sleep in a write timed out; the request continues")
        }
        endSearch()
    }

    private mutating func refuse(_ holders: [WriteHolder]) {
        record(holders)
        guard let first = holders.first else { return }
        let subject = first.mountPoint?.escaped ?? "a filesystem that is in no mount table"
        fail(
            "\(subject): not frozen, for its freeze would hang: \(first.description). \(first.remedy)",
            about: first.mountPoint.map { .filesystem($0) })
    }

    private mutating func endSearch() {
        let purpose = search?.purpose
        search = nil
        switch purpose {
        case .beforeFreezing: flushMayBeComplete()
        case .stuck: finishIfSearched()
        case nil: break
        }
    }

    // MARK: While a FIFREEZE hangs

    /// Outside of the window: the search opens paths in /proc (P7). The answer to the host does not wait for the
    /// search.
    mutating func beginSearchOfStuck(_ targets: [PlannedFilesystem]) {
        search = WriteHolderSearch(
            id: nextWork(for: nil), purpose: .stuck, limit: now + policy.stuckHolderLimit)
        if let search { emit(.findWriteHolders(search.id, targets)) }
    }

    var isSearchingOfStuck: Bool { search?.purpose == .stuck }

    private mutating func nameHolders(_ found: [WriteHolder]) {
        holders = found.filter { $0.mountPoint.map(stuckMountPoints.contains) ?? isStuck }
        record(holders)
        for holder in holders {
            let mountPoint = holder.mountPoint ?? stuckMountPoints.first ?? ""
            note(
                .error, "\(mountPoint.escaped): its freeze hangs: \(holder.description). \(holder.remedy)",
                [
                    .messageID: MessageID.writeAccessHeld.rawValue, .filesystem: mountPoint.string,
                    .processID: "\(holder.processID)", .command: holder.command, .userID: "\(holder.userID)",
                    .file: holder.file?.string ?? "",
                ])
        }
    }

    private mutating func record(_ holders: [WriteHolder]) {
        guard let filesystems = request?.record.filesystems else { return }
        for index in filesystems.indices where filesystems[index].action == .freeze {
            let own = holders.filter {
                $0.mountPoint == nil || $0.mountPoint == filesystems[index].mountPoint
            }
            if !own.isEmpty { request?.record.filesystems[index].holders = own }
        }
    }
}
