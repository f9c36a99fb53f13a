import FreezeCore
import LinuxCalls
import SystemPackage

/// The audit daemon does not log to what is frozen: when it cannot write, the kernel's queue fills, and then every
/// process that is audited waits - one that thaws, too (kernel/audit.c: audit_log_start).
enum AuditCheck {
    static let name = "audit"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        guard ProcessTable(subject.proc).processes.contains(where: { $0.name == "auditd" }) else {
            return [Finding(name, .ok, "auditd does not run.")]
        }
        let configuration = (try? readWholeFile(subject.auditConfiguration)) ?? []
        guard let log = logFile(configuration: String(decoding: configuration, as: UTF8.self)) else {
            return [Finding(name, .ok, "auditd writes no log.")]
        }
        let mount = subject.mount(holding: log)
        let isFrozen = mount.map { subject.frozenDevices.contains($0.device) } ?? false
        return [finding(log: log, frozen: isFrozen ? mount?.mountPoint : nil)]
    }

    /// Where it logs to; nil for nowhere (auditd.conf(5)).
    static func logFile(configuration: String) -> FilePath? {
        var values: [String: String] = [:]
        for line in configuration.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1).map { part in
                part.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            }
            guard parts.count == 2, !parts[0].hasPrefix("#") else { continue }
            values[parts[0].lowercased()] = parts[1]
        }
        if values["write_logs"]?.lowercased() == "no" || values["log_format"]?.lowercased() == "nolog" {
            return nil
        }
        return FilePath(values["log_file"] ?? "/var/log/audit/audit.log")
    }

    static func finding(log: FilePath, frozen mountPoint: FilePath?) -> Finding {
        guard let mountPoint else {
            return Finding(name, .ok, "auditd logs to \(log.escaped), which is not frozen.")
        }
        return Finding(
            name, .warning,
            "auditd logs to \(log.escaped) on \(mountPoint.escaped), which is frozen: when its queue is full, whatever is audited waits.",
            nextStep: """
                Give its log a filesystem of its own and exclude that one, or run \
                `auditctl --backlog_wait_time 0` so that nobody waits.
                """)
    }
}
