import FreezeCore
import Glibc
import LinuxSystem
import SystemPackage

/// The helper that freezes is installed, and only root can change it.
enum FreezerCheck {
    static let name = "freezer"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        let candidates = candidates(for: subject.executable)
        guard let found = candidates.first(where: { access($0.string, X_OK) == 0 }) else {
            let places = candidates.map(\.escaped).joined(separator: " or ")
            return [
                Finding(
                    name, .error, "quiesce-freezer, the helper that freezes, is not there.",
                    nextStep: "Install it as \(places).")
            ]
        }
        do throws(TrustError) {
            try TrustCheck.verify(found)
        } catch {
            return [Finding(name, .error, error)]
        }
        return [Finding(name, .ok, "\(found.escaped) is there, and only root can change it.")]
    }

    /// Where the daemon looks: beside itself, or in libexec beside its bin or sbin. This program is its neighbour.
    private static func candidates(for executable: FilePath) -> [FilePath] {
        let directory = executable.removingLastComponent()
        return [
            directory.appending("quiesce-freezer"),
            directory.removingLastComponent().appending("libexec/quiesced/quiesce-freezer"),
        ]
    }
}
