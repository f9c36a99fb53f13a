import Channels
import FreezeCore

/// The host of a test, over the channel of a hypervisor.
protocol BackupHost: Sendable {
    func freeze() throws -> BackupAnswer
    func thaw() throws -> BackupAnswer
    /// True if the next daemon answers the requests of a killed daemon.
    var isAnsweredByNextDaemon: Bool { get }
}

/// The answer to a freeze or a thaw.
enum BackupAnswer: Equatable, Sendable {
    /// - Parameter filesystems: The number that the guest agent port reports; nil for Hyper-V.
    case success(filesystems: Int?)
    /// - Parameter reason: Empty for Hyper-V.
    case failure(reason: String)
    /// The channel closed, or the host timed out.
    case lost

    var isSuccess: Bool { if case .success = self { true } else { false } }
    var isFailure: Bool { if case .failure = self { true } else { false } }
}

enum BackupHostKind: CaseIterable, Sendable {
    case hyperV, qemu
}

extension HyperVHostSimulator: BackupHost {
    func freeze() throws -> BackupAnswer { BackupAnswer(try perform(.freeze)) }
    func thaw() throws -> BackupAnswer { BackupAnswer(try perform(.thaw)) }
    var isAnsweredByNextDaemon: Bool { false }
}

extension BackupAnswer {
    fileprivate init(_ answer: HyperVHostAnswer) {
        switch answer.outcome {
        case .answered: self = answer.status == .success ? .success(filesystems: nil) : .failure(reason: "")
        case .timedOut, .notRegistered, .departed: self = .lost
        }
    }
}
