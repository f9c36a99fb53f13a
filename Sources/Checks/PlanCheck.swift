import FreezeCore
import Presentation
import SystemPackage

/// There is something to freeze, and what there is to know about it.
enum PlanCheck {
    static let name = "plan"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        switch subject.planning {
        case .failure(let error): [Finding(name, .error, error)]
        case .plan(let plan): findings(plan)
        }
    }

    static func findings(_ plan: FreezePlan) -> [Finding] {
        do throws(PlanError) {
            try plan.requireSomethingToFreeze()
        } catch {
            return [Finding(name, .error, error)]
        }
        let count = counted(plan.filesystems(.freeze).count, "filesystem")
        let summary =
            plan.steps.isEmpty
            ? "No filesystem would be frozen, only flushed."
            : "\(count) would be frozen, in \(counted(plan.steps.count, "step"))."
        let flushed = plan.onlyFlushed.map { filesystem in
            Finding(
                name, .warning,
                "\(filesystem.mountPoint.escaped) can only be flushed, so a backup is crash-consistent at best.",
                nextStep: "If a backup can do without it, add it to filesystems.exclude.")
        }
        let notes = plan.notes.map { Finding(name, .warning, $0, nextStep: "See `quiescectl plan`.") }
        return [Finding(name, .ok, summary)] + flushed + notes
    }
}
