import SystemPackage

@testable import FreezeCore

/// A user's task inside a write. The kernel completes no FIFREEZE before the end of the write.
struct SimulatedWriter {
    let superblock: Int
    let begins: Int64
    let ends: Int64
    /// True for an ordinary writer: the awaited event wakes the task again and again, and the write ends soon.
    let wakesUp: Bool

    func isInside(at moment: Int64) -> Bool { begins <= moment && moment < ends }
}

extension Simulation {
    func writerBegins(on superblock: Int, after delay: Int64) {
        let length = random.oneIn(3) ? random.milliseconds(500, 5000) : random.milliseconds(2000, 100_000)
        writers.append(
            SimulatedWriter(
                superblock: superblock, begins: now + delay, ends: now + delay + length, wakesUp: random.oneIn(3)))
    }

    /// The end of the wait of a FIFREEZE issued now. A FIFREEZE waits for sleeping writers; ordinary writers
    /// let the FIFREEZE pass.
    func writeIsOver(on superblock: Int) -> Int64 {
        writers.reduce(now) { latest, writer in
            writer.superblock == superblock && writer.isInside(at: now) && !writer.wakesUp
                ? max(latest, writer.ends) : latest
        }
    }

    // MARK: The driver's search

    func findWriteHolders(_ work: WorkID, _ targets: [PlannedFilesystem]) {
        let delay = fails(.workHangs, 4) ? hangs(1, 12) : random.milliseconds(0, 100)
        schedule(at: now + delay, .tasksAreRead(work, targets.map(SimulatedWorld.index), life: life))
    }

    func tasksAreRead(_ work: WorkID, _ superblocks: [Int]) {
        let holders = writers.enumerated().compactMap { number, writer -> WriteHolder? in
            guard superblocks.contains(writer.superblock), writer.isInside(at: now) else { return nil }
            return WriteHolder(
                processID: Int32(number), command: "dd", userID: 1000, file: nil,
                mountPoint: SimulatedWorld.mountPoints[writer.superblock],
                write: .init(
                    threadID: Int32(number), systemCall: "275",
                    progress: writer.wakesUp ? UInt64(now / 200_000_000) : 0))
        }
        if machine.search?.id == work { noteFound(holders) }
        deliver(.writeHoldersFound(work, holders))
    }

    // MARK: Checks

    /// Records the holders reported to the machine during a search.
    private func noteFound(_ holders: [WriteHolder]) {
        if machine.isSearchingOfStuck {
            check.stuckSearch = nil
            // After the return of a FIFREEZE, no process keeps the filesystem stuck.
            check.namedHolders.formUnion(
                holders.compactMap(\.mountPoint).filter(machine.stuckMountPoints.contains))
            if !holders.isEmpty { coverage.note(.holderOfStuckFound) }
        } else if machine.search?.suspects.isEmpty == true {
            // A writer that begins between two looks is found during the next flush.
            check.seenWriters.formUnion(holders.map { Int($0.processID) })
        }
    }

    /// Nothing is locked or frozen past a task found asleep and still in the same sleep.
    func inspectWriters(before what: String) {
        // A request that freezes nothing cannot hang.
        guard served?.options.freezes == true else { return }
        if !check.hasSearched { violate("P1", "\(what) without a look for those who sleep in a write") }
        for number in check.seenWriters where !writers[number].wakesUp && writers[number].isInside(at: now) {
            violate("P1", "\(what) though writer \(number) was seen asleep and still is")
        }
    }

    /// A request fails because of a writer only after the writer has slept for the patience.
    func inspectFailure(_ reason: String) {
        if reason == "the freezer does not answer; it is replaced", process?.isKilled == false {
            violate("P9", "a freezer that does not answer is kept")
        }
        guard reason.contains("its freeze would hang") else { return }
        let numbers = writers.indices.filter { reason.contains("process \($0) (") }
        coverage.note(.heldWriterRefused)
        let patience = scenario.policy.writeHolderPatience.nanoseconds
        // A task that could not be checked again counts as asleep.
        if numbers.contains(where: { writers[$0].wakesUp || now - writers[$0].begins < patience }),
            !faults.contains(.workHangs), !faults.contains(.lateTimer), !faults.contains(.suspend),
            !faults.contains(.daemonStops)
        {
            violate("liveness", "refused because of a writer who wakes up: \(reason)")
        }
    }

    /// The record names the found holders, and waits for a limited time for an unfinished search.
    func inspectHolders(_ record: RequestRecord) {
        let stuck = record.filesystems.filter(\.isStuck)
        if !stuck.isEmpty, !check.hasSearchedForStuck {
            violate("P9", "nobody looks for who keeps \(stuck) stuck")
        }
        if let begun = check.stuckSearch, now - begun < scenario.policy.stuckHolderLimit.nanoseconds {
            violate("P9", "the record does not wait for the names of who keeps a filesystem stuck")
        }
        for filesystem in stuck
        where check.namedHolders.contains(filesystem.mountPoint) && filesystem.holders.isEmpty {
            violate("P9", "the record does not name who keeps \(filesystem.mountPoint) stuck")
        }
    }
}
