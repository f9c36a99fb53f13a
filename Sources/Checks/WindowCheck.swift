import Configuration
import FreezeCore
import LinuxSystem

/// On a KubeVirt guest, the window is longer than KubeVirt's limit: KubeVirt sends no thaw to a thawed guest, and does
/// not learn of a window that ended early (docs/safety.md).
enum WindowCheck {
    static let name = "max_window"

    /// KubeVirt thaws after five minutes.
    static let limit = Duration.seconds(300)

    static func findings(_ subject: CheckSubject) -> [Finding] {
        guard subject.host == .kubeVirt else { return [] }
        return findings(subject.configuration)
    }

    /// - Parameter configuration: Of a KubeVirt guest.
    static func findings(_ configuration: Configuration) -> [Finding] {
        guard configuration.qemu.enabled != .off else { return [] }
        let windows = [
            ("freeze.max_window", configuration.freeze.maxWindow),
            ("qemu.max_window", configuration.qemu.maxWindow),
        ]
        let limitText = DurationText.text(limit)
        let short = windows.filter { $0.1 <= limit }
        guard let shortest = short.min(by: { $0.1 < $1.1 }) else {
            return [Finding(name, .ok, "The window is longer than KubeVirt's limit of \(limitText).")]
        }
        return [
            Finding(
                name, .warning,
                """
                \(shortest.0) (\(DurationText.text(shortest.1))) can end the window before KubeVirt's thaw, which comes \
                within \(limitText): KubeVirt then keeps a torn snapshot.
                """,
                nextStep:
                    "Set \(short.map(\.0).joined(separator: " and ")) to more than \(limitText), such as \"6m\".")
        ]
    }
}
