import Configuration
import FreezeCore
import LinuxCalls
import SystemPackage

/// The kernel does not take writers that wait for the thaw for a reason to panic
/// (Documentation/admin-guide/sysctl/kernel.rst: hung_task_panic, hung_task_timeout_secs).
enum HungTaskCheck {
    static let name = "hung_task"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        func number(_ setting: String) -> Int64? {
            let bytes = try? readWholeFile(subject.proc.appending("sys/kernel").appending(setting))
            return bytes.flatMap { Int64(String(decoding: $0.filter { $0 != UInt8(ascii: "\n") }, as: UTF8.self)) }
        }
        let seconds = number("hung_task_timeout_secs").map { Duration.seconds($0) }
        return [
            finding(
                panics: (number("hung_task_panic") ?? 0) != 0, timeout: seconds ?? .zero,
                window: subject.configuration.freeze.maxWindow)
        ]
    }

    /// - Parameter timeout: zero if the kernel does not look for hung tasks.
    static func finding(panics: Bool, timeout: Duration, window: Duration) -> Finding {
        guard panics, timeout > .zero else {
            return Finding(name, .ok, "The kernel does not panic because of tasks that wait.")
        }
        let text = "\(timeout.components.seconds) s"
        guard timeout <= window else {
            return Finding(name, .ok, "The kernel panics only after \(text), longer than freeze.max_window.")
        }
        return Finding(
            name, .error,
            "The kernel panics when a task waits for \(text), and freeze.max_window lets writers wait \(DurationText.text(window)).",
            nextStep: "Lower freeze.max_window below \(text), or run `sysctl kernel.hung_task_panic=0`.")
    }
}
