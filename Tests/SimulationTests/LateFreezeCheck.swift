import SystemPackage

@testable import FreezeCore

/// FIFREEZEs that were given up, and returned beside the thaw of others: the record says for which filesystems each may
/// have waited.
struct LateFreezeCheck {
    /// Not frozen when freeze.timeout was over, and without a report since.
    var late: Set<Int> = []
    var thaws: [(mountPoint: FilePath, at: Int64)] = []
    /// The expected reasons.
    var explanations: [String] = []
}

extension Simulation {
    func noteLateFreezes(_ reason: String) {
        guard reason.contains("not frozen within freeze.timeout"),
            let steps = currentFreezer.map({ freezers[$0].steps })
        else { return }
        check.lateFreezes.late = Set(
            steps.indices.filter { steps[$0] <= check.lastStep && !check.frozen[$0] })
    }

    func noteThawBeside(_ index: Int, _ result: TimedResult) {
        guard machine.isWindowOpen, let targets = planned?.filesystems(.freeze), targets.indices.contains(index)
        else { return }
        if result.error == nil { check.lateFreezes.thaws.append((targets[index].mountPoint, now)) }
        if result.error == nil || result.error == .invalidArgument { check.lateFreezes.late.remove(index) }
    }

    func noteLateFreeze(_ index: Int, _ result: TimedResult) {
        guard machine.state == .thawing, check.lateFreezes.late.remove(index) != nil, result.error == nil,
            let target = planned?.filesystems(.freeze)[index].mountPoint
        else { return }
        let patience = scenario.policy.hangingFreezePatience.nanoseconds
        let thawed = check.lateFreezes.thaws.filter { now - $0.at < patience }.map(\.mountPoint.string)
        guard !thawed.isEmpty else { return }
        check.lateFreezes.explanations.append(
            "\(target) was frozen as soon as \(thawed.joined(separator: ", ")) was thawed")
    }

    func inspectLateFreezes(_ record: RequestRecord) {
        let reason = record.reason ?? ""
        let explanations = check.lateFreezes.explanations
        for explanation in explanations where !reason.contains(explanation) {
            violate("late freeze", "the record does not say: \(explanation)")
        }
        if explanations.isEmpty, reason.contains("[[filesystems.order]]") {
            violate("late freeze", "the record explains what did not happen: \(reason)")
        }
        if !explanations.isEmpty { coverage.note(.lateFreezeExplained) }
        // A request that is refused at once is not prepared, and has no check of its own.
        check.lateFreezes = LateFreezeCheck()
    }
}
