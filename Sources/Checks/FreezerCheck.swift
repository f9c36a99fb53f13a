import FreezeCore
import LinuxSystem
import SystemPackage

/// The helper that freezes is installed where the daemon looks for it, and only root can change it.
enum FreezerCheck {
    static let name = "freezer"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        do throws(FreezerUnusable) {
            let found = try FreezerExecutable.find(beside: subject.executable)
            return [Finding(name, .ok, "\(found.escaped) is there, and only root can change it.")]
        } catch {
            return [Finding(name, .error, error)]
        }
    }
}
