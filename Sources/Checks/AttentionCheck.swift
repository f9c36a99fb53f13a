import Configuration
import FreezeCore
import History

/// No hook has failed at thaw since an admin last looked.
enum AttentionCheck {
    static let name = "attention"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        let paths = subject.configuration.paths
        do throws(HistoryError) {
            return findings(try AttentionFile(inStateDirectory: paths.state, heldIn: paths.run).read())
        } catch {
            return [Finding(name, .warning, error)]
        }
    }

    static func findings(_ attention: [Attention]) -> [Finding] {
        guard !attention.isEmpty else { return [Finding(name, .ok, "No hook has failed at thaw.")] }
        return attention.map { each in
            Finding(
                name, .warning,
                "Hook \(escapedControlCharacters(each.hook)) \(escapedControlCharacters(each.problem)) at thaw, in request "
                    + "\(each.request.text): its application may be down.",
                nextStep: "Look at the application, and at `quiescectl show \(each.request.text)`; then run "
                    + "`quiescectl acknowledge`.")
        }
    }
}
