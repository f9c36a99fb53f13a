import ArgumentParser
import Checks
import Configuration
import ControlProtocol
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
            Looks at the configuration, the hooks, database servers without a hook, the host's device (on Hyper-V) or \
            guest agent port (on KVM) and the process that holds the device, the relay to qemu-ga, the directories, the \
            helper that freezes, the running service, and at what on this machine does not go well with freezing. It \
            changes nothing and freezes nothing. Without a service that can be reached no backup works: before its first \
            start, use --before-start.

            Exit status: 0 ready, perhaps with warnings; 1 not ready; 2 wrong usage or configuration.

            Examples:
              quiescectl check
              quiescectl check --before-start
              quiescectl check --config /root/rehearsal.toml
              quiescectl check --json
            """)

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    @Flag(help: "Leave out what a running service would show, for an installation.")
    var beforeStart = false

    func run() throws {
        try RootNeeded.require(for: "check")
        let configuration: Configuration
        do throws(ConfigurationError) {
            configuration = try options.load()
        } catch {
            try write(CheckRun.report(on: error))
            throw ExitCode.wrongUsage
        }
        let report = CheckRun.report(on: try subject(configuration, service(configuration)))
        try write(report)
        if !report.isReady { throw report.isConfigurationWrong ? ExitCode.wrongUsage : ExitCode.failed }
    }

    /// What the running service answers.
    private func service(_ configuration: Configuration) -> CheckSubject.Service {
        if beforeStart { return .notStarted }
        guard let connection = try? ControlConnection.open(configuration.control.socket) else {
            return .unreachable
        }
        do throws(ControlFailure) {
            let status = try connection.status()
            connection.close()
            // One that does not tell is older than this program, and has what it needs.
            let channels = status.channels.map {
                DaemonStatus.Channel(
                    name: escapedControlCharacters($0.name), state: escapedControlCharacters($0.state),
                    isRegistered: $0.registered ?? true)
            }
            return .running(channels: channels, isDryRun: status.dryRun)
        } catch {
            connection.close()
            return .silent(problem: error.problem)
        }
    }

    private func subject(
        _ configuration: Configuration, _ service: CheckSubject.Service
    ) throws -> CheckSubject {
        let planning: CheckSubject.Planning
        do {
            planning = .plan(try FreezePlan.ofThisMachine(configuration, for: "check"))
        } catch let error as any ActionableError {
            planning = .failure(error)
        }
        return CheckSubject(
            configuration: configuration, configurationFile: options.file, planning: planning,
            mounts: try MountTableWatch().read(), executable: try readSymbolicLink("/proc/self/exe"),
            service: service)
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
