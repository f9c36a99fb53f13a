import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// A process with an inaccessible mount namespace.
struct HiddenProcess: Hashable, Sendable {
    let processID: pid_t
    let error: Errno
}

extension HiddenProcess {
    /// The bit of CAP_SYS_PTRACE (linux/capability.h).
    private static let trace: UInt64 = 1 << 19

    /// A sentence with the first hidden process and the likely cause; nil without hidden processes.
    static func sentence(on hidden: [HiddenProcess], proc: FilePath) -> String? {
        guard let first = hidden.first else { return nil }
        var subjects = ["process \(first.processID) (\(ProcessTable(proc).process(first.processID).name))"]
        if hidden.count > 1 { subjects.append("\(hidden.count - 1) more") }
        return "\(subjects.joined(separator: " and ")): its mount namespace may not be looked at: "
            + "\(first.error.symbolicName): \(first.cause(proc))."
    }

    /// Follows the kernel's own checks (kernel/ptrace.c: __ptrace_may_access; security/commoncap.c:
    /// cap_ptrace_access_check). With CAP_SYS_PTRACE, capabilities of the other process do not matter. Yama restricts
    /// attaching only.
    private func cause(_ proc: FilePath) -> String {
        let own = ProcessStatusFile(of: proc.appending("self")).mask("CapEff")
        let its = ProcessStatusFile(of: proc.appending("\(processID)")).mask("CapPrm")
        if let own, own & Self.trace == 0 {
            let more =
                its.map { $0 & ~own != 0 } == true ? "the process has more capabilities than quiesced, and " : ""
            return "\(more)quiesced lacks CAP_SYS_PTRACE; allow it in the unit or container of quiesced"
        }
        // The whole range of the initial user namespace (user_namespaces(7)).
        let map = SmallFile.text(proc.appending("self/uid_map")) ?? ""
        if !map.isEmpty, map.split(whereSeparator: \.isWhitespace) != ["0", "0", "4294967295"] {
            return
                "quiesced is in a user namespace; run it on the machine itself, not in an unprivileged container"
        }
        return
            "most likely a security module (AppArmor, SELinux, Landlock) forbids it; see the kernel's log, and permit "
            + "quiesced to trace that process"
    }
}
