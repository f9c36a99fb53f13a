import FreezeCore
import FreezerProtocol
import LinuxCalls
import SystemPackage

/// Why `recover` did not do its work.
public struct RecoveryError: ActionableError {
    public let subject: String
    public let problem: String
    public let remedy: String?
    /// Nothing can be learnt from the ledger, now or later.
    let isLedgerDamaged: Bool

    init(ownerAlive ledger: Ledger) {
        subject = "request \(ledger.requestID)"
        problem = "its quiesced (\(ledger.daemon)) is alive and thaws by itself"
        remedy = """
            Thaw with quiescectl thaw, or stop quiesced. If neither helps: --force thaws everything now; the backup \
            that runs is then lost.
            """
        isLedgerDamaged = false
    }

    init(cannotLookAt ledger: Ledger, _ error: Errno) {
        subject = "request \(ledger.requestID)"
        problem = "its freezer cannot be looked at: \(error)"
        remedy = "Free descriptors or memory, and try again."
        isLedgerDamaged = false
    }

    init(_ error: LedgerError) {
        subject = error.subject
        problem = error.problem
        remedy = error.remedy
        isLedgerDamaged = error.code == .malformed || error.code == .untrusted
    }
}
