import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import Synchronization
import SystemPackage

/// quiesced as it is installed, with a configuration and hooks of its own, and the simulated host it answers to.
///
/// Its hooks write what they see to `trace`, on a tmpfs. Ends its daemon when the last reference goes.
final class DaemonRig {
    private static let count = Atomic(0)
    /// A host that waits for seconds where the kernel waits for minutes, so that a test that hangs fails soon.
    private static let patience = HyperVHostLimits(freeze: .seconds(40), other: .seconds(30))

    /// The guest agent port of the daemon.
    enum AgentPortLife {
        case none
        /// Opened by each daemon, and closed at its end.
        case plain
        /// Kept open by the service manager, also before the first daemon.
        case kept
        /// Opened by the first daemon, and kept open by the service manager from then on.
        case stored
    }

    let host: HyperVHostSimulator
    private let agentHost: AgentHost?
    private let descriptorStore: DescriptorStore?
    let configuration: FilePath
    let hookDirectory: FilePath
    let runDirectory: FilePath
    let stateDirectory: FilePath
    /// What the hooks have written, a line each.
    let trace: FilePath
    /// Where points are armed at which its processes stand still; nil if it is not to have any.
    let stopPoints: FilePath?
    private(set) var daemon: RunningProgram
    /// The number of times that the daemons have stored the port, up to the last stop.
    private(set) var storeCount = 0
    /// What its programs are started with besides the test's own environment.
    var additionalEnvironment: [String: String] = [:]

    /// - Parameters:
    ///   - configuration: Lines of TOML, by section, in addition to the rig's own paths.
    ///   - hooks: Shell scripts by name; `$TRACE` in them is where to write. Installed with mode 0755.
    ///   - agentPort: Beside the Hyper-V device.
    ///   - hasStopPoints: Whether it can be made to stand still, by `arm(_:)`.
    ///   - isStarted: Whether the daemon is started, and its registration waited for.
    init(
        configuration sections: [String: String] = [:], hooks: [String: String] = [:],
        agentPort: AgentPortLife = .none, hasStopPoints: Bool = false, isStarted: Bool = true
    ) throws {
        try ScratchWorld.require()
        let name = "quiesced-\(Self.count.add(1, ordering: .relaxed).newValue)"
        runDirectory = FilePath("/run").appending(name)
        stateDirectory = FilePath("/var/lib").appending(name)
        trace = FilePath("/tmp").appending("\(name).trace")
        hookDirectory = FilePath("/etc").appending(name).appending("hooks.d")
        configuration = FilePath("/etc").appending(name).appending("quiesced.toml")
        stopPoints = hasStopPoints ? FilePath("/tmp").appending("\(name).stop") : nil
        let device = FilePath("/run").appending("\(name).device")
        if let stopPoints { try RunningProgram.output(of: "mkdir", [stopPoints.string]) }
        try RunningProgram.output(of: "mkdir", ["-p", hookDirectory.string])
        try RunningProgram.output(of: "truncate", ["--size", "0", trace.string])
        var all = sections
        all["hyperv", default: ""] += "\ndevice = \"\(device)\"\nenabled = true"
        let port = FilePath("/run").appending("\(name).port")
        if agentPort != .none { all["qemu", default: ""] += "\ndevice = \"\(port)\"\nenabled = true" }
        all["hooks", default: ""] += "\ndirectory = \"\(hookDirectory)\""
        if !all["paths", default: ""].contains("state =") {
            all["paths", default: ""] += "\nstate = \"\(stateDirectory)\""
        }
        if !all["paths", default: ""].contains("run =") {
            all["paths", default: ""] += "\nrun = \"\(runDirectory)\""
        }
        let text = all.sorted { $0.key < $1.key }.map { "[\($0.key)]\n\($0.value)\n" }.joined()
        try Data(text.utf8).write(to: URL(fileURLWithPath: configuration.string))
        host = try HyperVHostSimulator(at: device, limits: Self.patience)
        agentHost = agentPort == .none ? nil : try AgentHost(at: port, isKept: agentPort != .plain)
        descriptorStore =
            switch agentPort {
            case .none, .plain: nil
            case .kept: try DescriptorStore(at: "/run/\(name).notify", holding: port)
            case .stored: try DescriptorStore(at: "/run/\(name).notify", holding: nil)
            }
        daemon = try RunningProgram("true")
        for (name, script) in hooks { try install(hook: name, script) }
        if isStarted { try start() }
    }

    deinit {
        daemon.send(SIGKILL)
        host.close()
    }

    func install(hook name: String, _ script: String, mode: String = "755") throws {
        let path = hookDirectory.appending(name).string
        try Data("#!/bin/sh\nTRACE=\(trace)\n\(script)\n".utf8).write(to: URL(fileURLWithPath: path))
        try RunningProgram.output(of: "chmod", [mode, path])
    }

    // MARK: The daemon

    /// Starts the daemon and waits until it has registered with the host.
    ///
    /// - Parameters:
    ///   - arguments: In addition to `--config`.
    ///   - log: The file that standard error is appended to; nil for a pipe to the test.
    func start(_ arguments: String..., loggingTo log: FilePath? = nil) throws {
        let before = host.events.count { if case .registered = $0 { true } else { false } }
        try launch(arguments, loggingTo: log)
        guard host.waitForRegistration(number: before + 1, until: .now + .seconds(15)) else {
            throw Failure(description: "the daemon did not register: \(self.log)")
        }
        try agentHost?.synchronize()
    }

    /// Starts the daemon without waiting for anything.
    func launch(_ arguments: [String] = [], loggingTo log: FilePath? = nil) throws {
        let program = ScratchWorld.programs.appending("quiesced")
        let all = ["--config", configuration.string] + arguments
        if let log {
            let script = "log=$1; shift; exec \"$@\" 2>> \"$log\""
            daemon = try RunningProgram(
                "sh", ["-c", script, "sh", log.string, program.string] + all, environment: environment)
        } else if let stored = descriptorStore?.descriptor {
            // sd_listen_fds(3)
            let script = "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=port; exec \"$@\""
            daemon = try RunningProgram(
                "sh", ["-c", script, "sh", program.string] + all, environment: environment, passing: stored)
        } else {
            daemon = try RunningProgram(program, all, environment: environment)
        }
        try daemon.closeInput()
    }

    /// What its programs are started with.
    var environment: [String: String] {
        var environment = ProcessInfo.processInfo.environment.merging(additionalEnvironment) { $1 }
        if let stopPoints { environment[StopPoint.variable] = stopPoints.string }
        if let descriptorStore { environment["NOTIFY_SOCKET"] = descriptorStore.address }
        return environment
    }

    /// Everything this life of the daemon has logged.
    var log: String { daemon.text(of: .errors) }

    /// The freezer, found as the daemon's child by its name.
    func freezerProcess() throws -> pid_t {
        let output = try RunningProgram.output(
            of: "pgrep", ["-P", "\(daemon.processIdentifier)", "quiesce-freezer"])
        guard let process = pid_t(output) else {
            throw Failure(description: "the daemon has not one freezer: \(output)")
        }
        return process
    }

    /// Ends the daemon as systemd does, and returns how it ended.
    ///
    /// - Throws: Also if the daemon has stored the port twice.
    @discardableResult
    func stop() throws -> RunningProgram.Ending {
        let stops = descriptorStore?.stopCount ?? 0
        daemon.send(SIGTERM)
        let ending = try daemon.waitForExit(within: .seconds(20))
        if ending == .exited(0) { storeCount = try descriptorStore?.storeCount(untilStop: stops + 1) ?? 0 }
        return ending
    }

    /// Kills both processes so that neither can thaw before the other is dead.
    func killBoth() throws {
        let freezer = try CrashScene.freezer(self)
        daemon.send(SIGSTOP)
        let process = daemon.processIdentifier
        try wait(for: "the daemon to stop") { try ProcessRecord.read(process)?.state == "T" }
        try freezer.send(signal: SIGKILL)
        guard freezer.waitForEnd(atMost: .seconds(10)) else { throw Failure(description: "the freezer lives on") }
        daemon.send(SIGKILL)
        let ending = try daemon.waitForExit()
        guard ending == .killed(signal: SIGKILL) else { throw Failure(description: "the daemon: \(ending)") }
    }

    // MARK: The host

    /// The client of the guest agent port.
    var agent: AgentHost {
        get throws {
            guard let agentHost else { throw Failure(description: "this rig has no guest agent port") }
            return agentHost
        }
    }

    func host(_ kind: BackupHostKind) throws -> any BackupHost {
        switch kind {
        case .hyperV: host
        case .qemu: try agent
        }
    }

    func hotBackup() throws -> HyperVHostAnswer { try host.perform(.hotBackup) }
    func freeze() throws -> HyperVHostAnswer { try host.perform(.freeze) }
    func thaw() throws -> HyperVHostAnswer { try host.perform(.thaw) }

    // MARK: What is left of a request

    /// The newest record of the history, once there are as many as expected: it is written after the answer.
    ///
    /// More than expected is a mistake of the test: it could have been given the record before.
    func record(number: Int = 1, within limit: Duration = .seconds(10)) throws -> RequestRecord {
        let history = HistoryFile(inStateDirectory: stateDirectory, heldIn: runDirectory)
        let deadline = ContinuousClock.now + limit
        while true {
            if let records = try? history.records().records, records.count >= number,
                let newest = records.max(by: { $0.endedWallTime < $1.endedWallTime })
            {
                guard records.count == number else {
                    throw Failure(description: "\(records.count) records instead of \(number)")
                }
                return newest
            }
            guard ContinuousClock.now < deadline else {
                throw Failure(description: "no record number \(number) within \(limit); log: \(log)")
            }
            // Polled, with a deadline: a file tells nobody that it grew.
            usleep(10_000)
        }
    }

    /// The lines the hooks have written so far.
    func traced() throws -> [String] {
        try String(contentsOfFile: trace.string, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    /// Waits until the hooks have written this line.
    func waitForTrace(_ line: String, within limit: Duration = .seconds(10)) throws {
        let deadline = ContinuousClock.now + limit
        while try !traced().contains(line) {
            guard ContinuousClock.now < deadline else {
                throw Failure(description: "no \(line) within \(limit) in \(try traced()); log: \(log)")
            }
            usleep(5_000)
        }
    }

    /// Runs quiescectl with this rig's configuration.
    func control(_ arguments: String...) throws -> (ending: RunningProgram.Ending, output: String, errors: String)
    {
        try RunningProgram.run(
            ScratchWorld.programs.appending("quiescectl"), arguments + ["--config", configuration.string],
            environment: environment, within: .seconds(40))
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }
}
