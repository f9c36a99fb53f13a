import Configuration
import FreezeCore
import LinuxCalls
import LinuxSystem

/// Runs the checks.
public enum CheckRun {
    /// A check that takes longer looks at something that hangs, such as a dead network mount.
    private static let patience = Duration.seconds(10)

    /// What there is to say of a configuration that was not accepted. Nothing else can be checked then.
    public static func report(on error: ConfigurationError) -> CheckReport {
        CheckReport(findings: [ConfigurationCheck.finding(for: error)])
    }

    /// Looks at everything, all checks at once. Changes nothing.
    ///
    /// Blocks, for some seconds at most.
    public static func report(on subject: CheckSubject) -> CheckReport {
        let checks: [(name: String, find: @Sendable () -> [Finding])] = [
            (ConfigurationCheck.name, { ConfigurationCheck.findings(subject) }),
            (PlanCheck.name, { PlanCheck.findings(subject) }),
            (HookCheck.name, { HookCheck.findings(subject) }),
            (DatabaseCheck.name, { DatabaseCheck.findings(subject) }),
            (AttentionCheck.name, { AttentionCheck.findings(subject) }),
            (DeviceCheck.name, { DeviceCheck.findings(subject) }),
            (AgentPortCheck.name, { AgentPortCheck.findings(subject) }),
            (RelayCheck.name, { RelayCheck.findings(subject) }),
            (WindowCheck.name, { WindowCheck.findings(subject) }),
            (RunDirectoryCheck.name, { RunDirectoryCheck.findings(subject) }),
            (StateDirectoryCheck.name, { StateDirectoryCheck.findings(subject) }),
            (SocketCheck.name, { SocketCheck.findings(subject) }),
            (ChannelCheck.name, { ChannelCheck.findings(subject) }),
            (CapabilityCheck.name, { CapabilityCheck.findings(subject) }),
            (FreezerCheck.name, { FreezerCheck.findings(subject) }),
            (LedgerCheck.name, { LedgerCheck.findings(subject) }),
            (FanotifyCheck.name, { FanotifyCheck.findings(subject) }),
            (AuditCheck.name, { AuditCheck.findings(subject) }),
            (HungTaskCheck.name, { HungTaskCheck.findings(subject) }),
        ]
        let answers = AbandonableWork.run(checks.map(\.find), until: .now + patience)
        return CheckReport(
            findings: zip(checks, answers).flatMap { check, answer in
                answer ?? [
                    Finding(
                        check.name, .warning,
                        "This could not be checked within \(DurationText.text(patience)).",
                        nextStep: "Look for a network mount or a disk that does not answer.")
                ]
            })
    }
}
