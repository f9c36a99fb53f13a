import Configuration
import FreezeCore
import Hooks
import Presentation
import SystemPackage

/// Every hook may be run.
enum HookCheck {
    static let name = "hooks"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        let hooks = subject.configuration.hooks
        do throws(HookError) {
            let candidates = try HookSources(subject.configuration).scan()
            return findings(candidates, in: hooks.directory, onFailure: hooks.onFailure)
                + hooks.overrides.compactMap { unused($0, candidates) }
        } catch {
            return [Finding(name, .error, error)]
        }
    }

    /// Its limits hold for no hook, by a slip of the hand or because the hook is not enabled.
    private static func unused(_ override: HookOverride, _ candidates: [HookCandidate]) -> Finding? {
        guard !candidates.contains(where: { $0.hook.name == override.hook }) else { return nil }
        return Finding(
            name, .warning, "hooks.overrides names \(override.hook), and there is no such hook.",
            nextStep: "Correct the name, as in `quiescectl hooks list`, or remove the override.")
    }

    static func findings(
        _ candidates: [HookCandidate], in directory: FilePath, onFailure: RequestPolicy.HookFailure
    ) -> [Finding] {
        guard !candidates.isEmpty else {
            return [
                Finding(
                    name, .ok,
                    "There are no hooks in \(directory.escaped): backups are filesystem-consistent at best.")
            ]
        }
        let refused = candidates.compactMap { candidate -> Finding? in
            guard case .refused(let reason) = candidate.verdict else { return nil }
            // It ends in what to do about it, where anything can be done.
            let isFatal = (candidate.hook.onFailure ?? onFailure) == .abort
            return Finding(
                name, isFatal ? .error : .warning, "Hook \(candidate.hook.name) is refused. \(reason)".asSentence,
                nextStep: isFatal
                    ? "Mend it or take it away: a refused hook fails every backup."
                    : "Mend it or take it away: without it a backup is filesystem-consistent at best.")
        }
        let trusted = candidates.count - refused.count
        guard trusted > 0 else { return refused }
        return [Finding(name, .ok, "\(counted(trusted, "hook is", plural: "hooks are")) trusted.")] + refused
    }
}
