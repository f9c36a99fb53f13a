import Configuration
import FreezeCore
import FreezerProtocol
import Glibc
import SystemPackage

/// No request was cut short and left something frozen.
enum LedgerCheck {
    static let name = "ledger"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        // What is wrong with the directory is another check's.
        guard let directory = try? RunDirectory(subject.configuration.paths.run, creating: false) else {
            return [finding(nil)]
        }
        let damaged = directory.path.appending("ledger.damaged")
        let leftover =
            access(damaged.string, F_OK) == 0
            ? [
                Finding(
                    name, .warning, "\(damaged.escaped) could not be read once, and was set aside.",
                    nextStep: "Report it, and remove it.")
            ] : []
        do throws(LedgerError) {
            return [finding(try directory.openLedger().map(Leftover.init))] + leftover
        } catch {
            return [
                Finding(
                    name, .error, "\(error.subject): \(error.problem)".asSentence,
                    nextStep: error.remedy
                        ?? "Restart quiesced, which sets it aside. SysRq-j thaws what is frozen.")
            ] + leftover
        }
    }

    /// What a ledger says of a request that is not over.
    struct Leftover {
        let requestID: String
        let isOwnerAlive: Bool
        /// Mount points of what may still be frozen.
        let unsettled: [FilePath]
        let owesHooks: Bool
    }

    static func finding(_ leftover: Leftover?) -> Finding {
        guard let leftover else { return Finding(name, .ok, "No request was cut short.") }
        let id = leftover.requestID
        if leftover.isOwnerAlive { return Finding(name, .ok, "Request \(id) is under way.") }
        guard !leftover.unsettled.isEmpty else {
            if leftover.owesHooks {
                return Finding(
                    name, .warning,
                    "Request \(id) was cut short; nothing of it is frozen, but hooks are owed their thaw.",
                    nextStep: "Start quiesced, which calls them: `systemctl start quiesced`.")
            }
            return Finding(
                name, .warning, "Request \(id) was cut short; nothing of it is frozen.",
                nextStep: "Start quiesced, which puts the request on record: `systemctl start quiesced`.")
        }
        let names = leftover.unsettled.map(\.escaped).joined(separator: ", ")
        return Finding(
            name, .error, "Request \(id) was cut short, and may have left frozen: \(names).",
            nextStep: "Run `quiescectl recover`.")
    }
}

extension LedgerCheck.Leftover {
    fileprivate init(_ ledger: Ledger) {
        requestID = ledger.requestID
        isOwnerAlive = ledger.daemon.isAlive
        unsettled = ledger.unsettled.map { ledger.superblocks[$0].mountPoint }
        owesHooks = !ledger.hooksOwedThaw.isEmpty
    }
}
