import FreezeCore
import LinuxCalls
import LinuxSystem
import Synchronization
import SystemPackage

/// Publishes the state in pool 1 of Hyper-V's data exchange, from which hosts read the items of a guest.
public struct PoolPublisher: StatePublisher {
    public static let stateKey = "quiesce.state"
    public static let summaryKey = "quiesce.summary"

    private let file: PoolFile
    /// Whether a missing pool is logged.
    private let isRequired: Bool
    private let bootID: String
    /// Called for each publication, because the driver of the bus may be loaded late.
    private let platform: @Sendable () -> HostPlatform
    /// The problems that were logged and have not ended.
    private let known = Reported()

    /// - Parameter isRequired: `kvp.enabled = true`: publish on every host, and warn while the pool is missing.
    public init(pool: FilePath, isRequired: Bool) {
        self.init(PoolFile(path: pool), isRequired: isRequired) { HostPlatform.ofThisMachine }
    }

    init(_ file: PoolFile, isRequired: Bool, platform: @escaping @Sendable () -> HostPlatform) {
        self.file = file
        self.isRequired = isRequired
        self.platform = platform
        let identifier = (try? readWholeFile("/proc/sys/kernel/random/boot_id")) ?? []
        bootID = String(decoding: identifier.prefix { $0 > 0x20 }, as: UTF8.self)
    }

    public func publish(_ report: StateReport, isCancelled: @Sendable () -> Bool) -> PublicationResult {
        // Done, so that the retry follows the next request instead of the pause of a minute.
        guard isRequired || platform() == .hyperV else { return PublicationResult(isDone: true) }
        // Hosts enumerate the records in this order: a host that reads during an update reads the state last.
        let facts = [
            PoolFact(Self.summaryKey, StateSummary.text(report, bootID: bootID)),
            PoolFact(Self.stateKey, report.state.rawValue),
        ]
        do throws(PoolProblem) {
            let problems = try file.update(facts, isCancelled: isCancelled)
            known.forget(allBut: problems)
            return PublicationResult(isDone: !problems.contains(where: \.isFailure), notes: notes(problems))
        } catch {
            return PublicationResult(isDone: false, notes: notes([error]))
        }
    }

    private func notes(_ problems: [PoolProblem]) -> [LogNote] {
        problems.filter(isWorthLogging).filter(known.isNew).map { problem in
            LogNote(.warning, "\(PoolError(path: file.path, cause: problem))")
        }
    }

    private func isWorthLogging(_ problem: PoolProblem) -> Bool {
        switch problem {
        case .cancelled: false
        case .missing: isRequired
        default: true
        }
    }
}

/// The kinds of problems in the log. Each is logged again only after it has ended.
private final class Reported: Sendable {
    private let kinds = Mutex<Set<String>>([])

    func isNew(_ problem: PoolProblem) -> Bool { kinds.withLock { $0.insert(problem.kind).inserted } }

    /// Call after the pool was read.
    func forget(allBut problems: [PoolProblem]) {
        kinds.withLock { $0.formIntersection(problems.map(\.kind)) }
    }
}
