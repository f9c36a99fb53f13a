import FreezeCore
import Ledger
import SystemPackage

/// Why the daemon cannot serve this machine.
public struct CoordinatorError: ActionableError {
    public let subject: String
    public let problem: String
    public let remedy: String?
    public let underlyingError: Errno?

    init(_ subject: String, _ problem: String, remedy: String? = nil, underlyingError: Errno? = nil) {
        self.subject = subject
        self.problem = problem
        self.remedy = remedy
        self.underlyingError = underlyingError
    }

    static let notRoot = CoordinatorError(
        "quiesced", "it does not run as root", remedy: "Start it as root: freezing needs CAP_SYS_ADMIN.")

    init(_ error: any Error) {
        switch error {
        case let error as any ActionableError:
            self.init(error.subject, error.problem, remedy: error.remedy)
        case let error as Errno:
            self.init("quiesced", "the system refuses a resource: \(error)", underlyingError: error)
        default:
            self.init("quiesced", "\(error)")
        }
    }
}

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
        remedy = "Stop quiesced, or use --force to thaw everything now; the backup that runs is then lost."
        isLedgerDamaged = false
    }

    init(_ error: LedgerError) {
        subject = error.subject
        problem = error.problem
        remedy = error.remedy
        isLedgerDamaged = error.code == .malformed
    }
}
