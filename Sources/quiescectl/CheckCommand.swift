import ArgumentParser
import Checks
import Configuration
import FreezeCore
import LinuxCalls
import LinuxSystem
import Presentation
import SystemPackage

/// `quiescectl check`: would a backup work on this machine, and what is to be done?
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check whether a backup would work, and say what to do if not.",
        discussion: """
            Looks at the configuration, the hooks, database servers without a hook, the device of the host and who \
            holds it, the directories, the helper that freezes, and at what on this machine does not go well with freezing. It changes nothing and \
            freezes nothing.

            Exit status: 0 ready, perhaps with warnings; 1 not ready; 2 wrong usage or configuration.

            Examples:
              quiescectl check
              quiescectl check --config /root/rehearsal.toml
              quiescectl check --json
            """)

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    func run() throws {
        try RootNeeded.require(for: "check")
        let configuration: Configuration
        do throws(ConfigurationError) {
            configuration = try options.load()
        } catch {
            try write(CheckRun.report(on: error))
            throw ExitCode.wrongUsage
        }
        let report = CheckRun.report(on: try subject(configuration))
        try write(report)
        if !report.isReady { throw report.isConfigurationWrong ? ExitCode.wrongUsage : ExitCode.failed }
    }

    private func subject(_ configuration: Configuration) throws -> CheckSubject {
        let planning: CheckSubject.Planning
        do {
            planning = .plan(try FreezePlan.ofThisMachine(configuration, for: "check"))
        } catch let error as any ActionableError {
            planning = .failure(error)
        }
        return CheckSubject(
            configuration: configuration, configurationFile: options.file, planning: planning,
            mounts: try MountTableWatch().read(), executable: try readSymbolicLink("/proc/self/exe"))
    }

    private func write(_ report: CheckReport) throws {
        try output.write(report, orLines: CheckTable(report).lines)
    }
}

/// The findings as text for a terminal.
struct CheckTable {
    private let report: CheckReport

    init(_ report: CheckReport) {
        self.report = report
    }

    var lines: [String] {
        let table = TextTable(
            [.init("VERDICT", limit: 7), .init("CHECK", limit: 15), .init("FINDING")],
            rows: report.findings.flatMap { finding in
                let words = finding.check.split(separator: "_").joined(separator: " ")
                let row = [word(finding.verdict), words, finding.statement]
                return [row] + (finding.nextStep.map { [["", "", "Next: \($0)"]] } ?? [])
            })
        return table.lines + [""] + report.summary.wrapped(to: TextLayout.width)
    }

    /// What asks for something stands out.
    private func word(_ verdict: Finding.Verdict) -> String {
        switch verdict {
        case .ok: "ok"
        case .warning: "WARNING"
        case .error: "ERROR"
        }
    }
}
