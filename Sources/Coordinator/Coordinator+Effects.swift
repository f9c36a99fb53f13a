import FreezeCore
import FreezerProtocol
import Hooks
import LinuxCalls
import SystemPackage

/// What the state machine wants done, and where it is done. Nothing waits.
extension Coordinator {
    func perform(_ effects: [RequestEffect]) {
        for effect in effects { perform(effect) }
    }

    private func perform(_ effect: RequestEffect) {
        switch effect {
        case .recover: recover()
        case .startFreezer: freezer.start()
        case .pauseBeforeFreezer: mailbox.post(.event(.freezerDue), after: freezer.nextPause())
        case .killFreezer: freezer.kill()
        case .openChannels: openChannels()
        case .assess(let isFreezerReady): assess(isFreezerReady: isFreezerReady)
        case .open(let work, let id, let channel, let options): open(work, id, channel, options)
        case .openAgain(let work): openAgain(work)
        case .handOver(let work): handOver(work)
        case .withdraw: command(.release)
        case .flush(let work, let filesystems): flush(work, filesystems)
        case .readMemory: readMemory()
        case .findWriteHolders(let work, let filesystems): findWriteHolders(work, on: filesystems)
        case .runHook(let work, let index, let phase, let succeeded, let level, let timeout):
            runHook(work, index, phase, succeeded: succeeded, level: level, timeout: timeout)
        case .startSession(let work, let index, let timeout): startSession(work, index, timeout: timeout)
        case .releaseSessions(let timeout): releaseSessions(timeout: timeout)
        case .runLeftoverHook(let work, let name, let id, let channel, let outcome, let timeout):
            runLeftoverHook(work, name, id, channel, outcome: outcome, timeout: timeout)
        case .cancelHook: resources?.runningHook?.cancel()
        case .checkMounts(let work): checkMounts(work)
        case .pollMounts(let work): pollMounts(work)
        case .verify(let work): verify(work)
        case .expediteRCU(let isExpedited): expediteRCU(isExpedited)
        case .freeze(let step, let freezeDeadline, let windowDeadline):
            command(.freeze(step: step, freezeDeadline: freezeDeadline, windowDeadline: windowDeadline))
        case .answer(let channel, let operation, let answer, let detail):
            channels.first { $0.names.contains(channel.name) }?.answer(
                operation, answer, detail, before: machine.frozenUntil)
        case .thaw: thaw()
        case .takeOverThaw: takeOverThaw()
        case .reopenChannels: for channel in channels { channel.reopen() }
        case .keepOutcome(let outcome): resources?.ledger?.setOutcome(outcome)
        case .keepAttention(let attention): keep(attention)
        case .keepLost(let lost): keepLost(lost)
        case .note(let note): log(note)
        case .progress(let progress): for observer in observers { observer.observe(progress) }
        case .record(let record): write(record)
        case .release: release()
        case .publish(let isLast): publish(isLast: isLast)
        case .cancelPublication: cancelPublication()
        case .pauseBeforePublication: mailbox.post(.event(.publicationDue), after: Publishing.retryPause)
        case .exit: isDone = true
        }
    }

    // MARK: Shared

    /// A command that does not reach the freezer needs no answer: its end, or its silence, is noticed.
    func command(_ command: FreezerCommand) {
        try? freezer.send(command)
    }

    func blockingWork(
        _ name: String, _ work: @escaping @Sendable () -> Void, orElse failed: (Errno) -> Void
    ) {
        do throws(Errno) {
            try OperatingSystemThread.start(name, work)
        } catch {
            failed(error)
        }
    }
}
