import ArgumentParser
import Channels
import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// `quiescectl simulate-host`: plays the Hyper-V host towards a daemon.
struct SimulateHostCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate-host",
        abstract: "Play the Hyper-V host towards a daemon, to rehearse a backup.",
        usage: "quiescectl simulate-host [<options>]",
        discussion: """
            Makes a stand-in for /dev/vmbus/hv_vss (a pseudoterminal), waits until a daemon has opened it and \
            registered, and then asks what a host asks when it makes a checkpoint. It needs neither Hyper-V nor root. \
            The daemon that answers freezes for real.

            Steps, separated by commas:
              HOT_BACKUP, FREEZE, THAW   the operations of a host
              hold=DURATION              do nothing for 500ms, 2s, 10m
              OP=NUMBER                  an operation that no host knows

            Exit status: 0 every answer was OK; 1 one was a failure or did not come; 2 wrong usage; 3 no daemon came.

            Examples:
              quiescectl simulate-host
              quiescectl simulate-host --device /run/hv_vss
              quiescectl simulate-host --device /run/hv_vss --json
              quiescectl simulate-host --operations FREEZE,hold=90s,THAW
            """)

    @Option(
        help: ArgumentHelp(
            "What the host does, in order. Default: HOT_BACKUP,FREEZE,hold=2s,THAW.", valueName: "steps"),
        transform: { try HyperVHostScript(parsing: $0) })
    var operations = HyperVHostScript([
        .operation(.hotBackup), .operation(.freeze), .hold(.seconds(2)), .operation(.thaw),
    ])

    @Option(
        help: ArgumentHelp(
            "Where to make a symbolic link to the stand-in, so that its path is known beforehand.",
            valueName: "path"))
    var device: String?

    @Option(
        help: ArgumentHelp("How long to wait for the daemon. Default: 60s.", valueName: "duration"),
        transform: { try DurationText.parse($0) })
    var wait: Duration = .seconds(60)

    @OptionGroup var output: OutputOption

    func validate() throws {
        guard !output.json || device != nil else {
            throw ValidationError("--json needs --device: nothing else tells where the stand-in is.")
        }
    }

    func run() throws {
        let host = try HyperVHostSimulator(at: device.map { FilePath($0) })
        defer { host.close() }
        // No link is left behind when this is interrupted.
        try TerminationSignals.handle(TerminationSignals.ofCommands) { number in
            host.close()
            // The shell's convention for a death by signal.
            Glibc.exit(128 + number)
        }
        var report = SimulateHostReport(host, isQuiet: output.json)
        try report.introduce()
        try waitForDaemon(host)
        for step in operations.steps {
            switch step {
            case .operation(let operation): try report.perform(operation)
            case .hold(let duration): try report.hold(duration)
            }
        }
        try report.summarize()
        if output.json { try printText(prettyJSON(SimulateHostDocument(report.answers)) + "\n") }
        if !report.everythingSucceeded { throw ExitCode.failed }
    }

    private func waitForDaemon(_ host: HyperVHostSimulator) throws {
        let deadline = Moment.now + wait
        if host.waitForRegistration(until: min(deadline, .now + .seconds(2))) { return }
        if !output.json {
            try printLines(["Waiting for a daemon to open it (for \(DurationText.text(wait)) in all) …"])
        }
        if host.waitForRegistration(until: deadline) { return }
        throw NoDaemon(subject: "\(host.devicePath)", wait: wait)
    }
}

/// No daemon came to the stand-in.
struct NoDaemon: ActionableError {
    let subject: String
    let wait: Duration

    var problem: String { "no daemon registered within \(DurationText.text(wait))" }
    var remedy: String? { "Start one with hyperv.device set to this path, or wait longer with --wait." }
}
