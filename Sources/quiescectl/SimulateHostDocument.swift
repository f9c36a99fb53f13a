import Channels
import FreezeCore
import LinuxCalls

/// What the simulated host was answered, for programs. The keys are stable: they are added to, never renamed or given
/// another meaning.
struct SimulateHostDocument: Encodable {
    struct Operation: Encodable {
        /// As in `--operations`.
        let operation: String
        /// `answered`, `timed_out`, `not_registered` or `departed`.
        let outcome: String
        /// What the host is told: `HV_S_OK`, `HV_E_FAIL` or a number.
        let status: String
        /// In milliseconds.
        let duration: Double

        private enum CodingKeys: String, CodingKey {
            case operation, outcome, status
            case duration = "duration_ms"
        }
    }

    /// Whether every answer was OK.
    let succeeded: Bool
    let operations: [Operation]

    init(_ answers: [HyperVHostAnswer]) {
        succeeded = answers.allSatisfy { $0.status == .success }
        operations = answers.map {
            Operation(
                operation: "\($0.operation)", outcome: $0.outcome.name, status: "\($0.status)",
                duration: $0.duration.milliseconds)
        }
    }
}

extension HyperVHostAnswer.Outcome {
    fileprivate var name: String {
        switch self {
        case .answered: "answered"
        case .timedOut: "timed_out"
        case .notRegistered: "not_registered"
        case .departed: "departed"
        }
    }
}
