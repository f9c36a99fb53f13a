import Presentation

/// All findings, and what they come to.
public struct CheckReport: Sendable, Hashable {
    /// In the order of the checks.
    public let findings: [Finding]

    public init(findings: [Finding]) {
        self.findings = findings
    }

    public var warnings: Int { findings.count { $0.verdict == .warning } }
    public var errors: Int { findings.count { $0.verdict == .error } }
    public var isReady: Bool { errors == 0 }

    /// The configuration, or whom it lets change things, is at fault: the daemon would not even start.
    public var isConfigurationWrong: Bool {
        findings.contains { $0.check == ConfigurationCheck.name && $0.verdict == .error }
    }

    /// The verdict, in a sentence.
    public var summary: String {
        let warned = counted(warnings, "warning")
        if errors > 0 { return "Not ready: \(counted(errors, "error"))" + (warnings > 0 ? ", \(warned)." : ".") }
        return warnings > 0 ? "Ready, with \(warned)." : "Ready."
    }
}

/// The report for programs: what `quiescectl check --json` prints. The keys are stable: they are added to, never
/// renamed or given another meaning.
extension CheckReport: Encodable {
    private enum CodingKeys: String, CodingKey {
        case findings
        case isReady = "ready"
        case errors, warnings, summary
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(findings, forKey: .findings)
        try container.encode(isReady, forKey: .isReady)
        try container.encode(errors, forKey: .errors)
        try container.encode(warnings, forKey: .warnings)
        try container.encode(summary, forKey: .summary)
    }
}

extension Finding: Encodable {
    private enum CodingKeys: String, CodingKey {
        case check, verdict, statement
        case nextStep = "next_step"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(check, forKey: .check)
        try container.encode(verdict.rawValue, forKey: .verdict)
        try container.encode(statement, forKey: .statement)
        // Written as null, too: a key that is always there is easier to rely on.
        try container.encode(nextStep, forKey: .nextStep)
    }
}
