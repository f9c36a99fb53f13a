import FreezeCore
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
