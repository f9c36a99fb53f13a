import Configuration
import FreezeCore
import FreezerProtocol
import Hooks
import LinuxCalls
import SystemPackage

/// At the start: thaws filesystems that the previous instance left frozen, and calls its hooks. Then the channels open.
extension Coordinator {
    func recover() {
        let recovery = Recovery(runDirectory: runDirectory, me: me)
        let mailbox = mailbox
        blockingWork("recover") {
            StopPoint.reach("recovering")
            do throws(RecoveryError) {
                guard let result = try recovery.run(.atStart) else { return mailbox.post(.event(.recovered(nil))) }
                for note in Self.endHooks(of: result.ledger) { mailbox.post(.note(note)) }
                mailbox.post(.leftover(result))
                result.watchStuck { mountPoint in mailbox.post(.leftoverSettled(mountPoint)) }
            } catch {
                mailbox.post(.recoveryFailed(error))
            }
        } orElse: { error in
            log(LogNote(.error, "no thread for recovery: \(error); it is tried again"))
            mailbox.post(.recoveryDue, after: .seconds(1))
        }
    }

    /// Ends running hooks of the previous instance: each is about to be called for thaw.
    private static func endHooks(of ledger: Ledger) -> [LogNote] {
        ledger.hooks.indices.compactMap { index in
            guard let process = (try? ledger.hookProcess(index)?.openStored()) ?? nil else { return nil }
            let name = ledger.hooks[index]
            return OrphanHook(process).end(HookKind(hookName: name))
                ? LogNote(.warning, "hook \(name) of that request was still running: it was ended")
                : LogNote(.error, "hook \(name) of that request is still running, and survives SIGKILL")
        }
    }

    func recovered(_ result: RecoveryResult) {
        leftoverLedger = result.ledger
        for note in result.notes { log(note) }
        handle(.recovered(result.leftover(hookSources)))
    }

    /// A ledger that cannot be understood names nothing that could be thawed: it is kept for a human, and the machine
    /// is served; a filesystem of it that is still frozen fails the next FREEZE with EBUSY, by name. Whatever else is
    /// wrong may pass: the next request would overwrite the only record of what is frozen, so there is none before.
    func recoveryFailed(_ error: RecoveryError) {
        log(LogNote(.error, "\(error)"))
        guard error.isLedgerDamaged else { return mailbox.post(.recoveryDue, after: .seconds(1)) }
        do {
            let aside = try runDirectory.setAsideDamagedLedger()
            log(LogNote(.error, "the damaged ledger is kept as \(aside)"))
        } catch {
            log(LogNote(.error, "\(error)"))
        }
        handle(.recovered(nil))
    }

    func runLeftoverHook(
        _ work: WorkID, _ name: String, _ id: RequestID, _ channel: ChannelID, outcome: WindowOutcome?,
        timeout: Duration
    ) {
        let context = HookContext(
            requestID: id, channel: channel, phase: .thaw, result: outcome == nil ? .failed : .ok,
            level: outcome?.level, mountPoints: [], timeout: timeout)
        let index = leftoverLedger?.hooks.firstIndex(of: name)
        call(hookSources.hook(named: name), context, work, leftoverLedger, index)
    }

    // MARK: Channels

    func openChannels() {
        for channel in channels {
            do {
                try channel.start()
            } catch {
                log(LogNote(.error, "\(error)"))
            }
        }
    }
}
