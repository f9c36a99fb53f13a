import LinuxCalls
import SystemPackage

/// This machine, or container, lets root freeze: CAP_SYS_ADMIN (capabilities(7)).
enum CapabilityCheck {
    static let name = "capabilities"

    /// The bit of CAP_SYS_ADMIN (linux/capability.h).
    private static let systemAdministration: UInt64 = 1 << 21

    static func findings(_ subject: CheckSubject) -> [Finding] {
        guard let mask = ProcessStatusFile(of: subject.proc.appending("self")).mask("CapEff") else {
            return [
                Finding(
                    name, .warning, "The capabilities of this process cannot be told.", nextStep: "Mount /proc.")
            ]
        }
        guard mask & systemAdministration != 0 else {
            return [
                Finding(
                    name, .error, "CAP_SYS_ADMIN is missing, without which nothing can be frozen.",
                    nextStep: "Run this as root, on the machine itself and not in an unprivileged container.")
            ]
        }
        return [Finding(name, .ok, "CAP_SYS_ADMIN is there: filesystems can be frozen.")]
    }
}
