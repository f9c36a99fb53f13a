import ArgumentParser
import Channels
import Configuration
import Coordinator
import DataExchange
import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import Logging
import SystemPackage
import Systemd

/// The daemon: connects the parts, and runs until SIGTERM or another signal that stops the daemon.
struct QuiesceDaemon: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quiesced",
        abstract: "Freeze this machine's filesystems while its host takes a live backup.",
        discussion: """
            Runs in the foreground and logs to standard error. Ends at SIGTERM, SIGINT, SIGHUP or SIGQUIT; whatever is \
            frozen then is thawed first.

            Examples:
              quiesced
              quiesced --config /root/rehearsal.toml
              quiesced --dry-run --config /root/rehearsal.toml
            """,
        version: Version.current)

    @Option(
        help: ArgumentHelp(
            "The configuration file. Default: \(Configuration.defaultFile), if it is there.", valueName: "file"))
    var config: String?

    @Flag(
        help: """
            Take requests, plan, check the hooks and report, but run no hook and freeze nothing. A real host is answered \
            with failure.
            """)
    var dryRun = false

    /// As quiescectl's errors begin.
    static let _errorPrefix = "quiesced: "

    /// ArgumentParser's own entry point, except for the exit status of wrong usage: 2 instead of 64 (sysexits.h), so
    /// that systemd does not restart the daemon (RestartPreventExitStatus=).
    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
            // Without standard error the message is lost.
            _ = try? FileDescriptor.standardError.writeAll("\(fullMessage(for: error))\n".utf8)
            exit(withError: ExitCode(2))
        }
    }

    func run() throws {
        // The mode of new files, whatever the parent has set. Set for the whole process, so before the first thread.
        umask(0o022)
        let serviceManager = ServiceManager.fromEnvironment()
        try? ProcessHandle.dieSilentlyWhenCrashing()
        // A log without a reader must not end the daemon, least of all in a window; nor must a signal with which other
        // programs reopen their logs. Hooks get the default actions.
        for number in [SIGPIPE, SIGUSR1, SIGUSR2] { signal(number, SIG_IGN) }
        let destination = LogDestination.detect()
        LoggingSystem.bootstrap { destination.handler(label: $0) }
        let logger = Logger(label: "quiesced")
        do {
            try makeRoomForDescriptors()
            let configuration = try readConfiguration()
            let coordinator = try Coordinator(
                configuration: configuration, freezerExecutable: try findFreezer(), isDryRun: dryRun,
                logger: logger, isLogFile: destination.isFile, publisher: publisher(configuration.kvp))
            try addChannels(to: coordinator, configuration, serviceManager)
            if let serviceManager {
                coordinator.add(lifeObserver: serviceManager)
                coordinator.add(observer: serviceManager)
            }
            do throws(Errno) {
                try TerminationSignals.handle([SIGTERM, SIGINT, SIGHUP, SIGQUIT]) { _ in
                    coordinator.stop(reason: "quiesced was asked to stop")
                }
            } catch {
                throw StartError.noSignals(error)
            }
            coordinator.run()
            // Everything is written that can be. exit(3) would wait for the lock of standard error: for ever, if the
            // log's thread holds it and waits for a reader.
            _exit(0)
        } catch let error as any ActionableError {
            logger.critical("\("\(error)".asSentence)")
            // Wrong configuration: nothing gets better by starting again.
            throw isConfigurationWrong(error) ? ExitCode(2) : ExitCode(1)
        }
    }

    private func isConfigurationWrong(_ error: any ActionableError) -> Bool {
        switch error {
        case is ConfigurationError, is TrustError, FreezerUnusable.untrusted: true
        default: false
        }
    }

    /// Later on each shortage would have an error of its own, or none.
    private func makeRoomForDescriptors() throws(StartError) {
        do throws(Errno) {
            try DescriptorLimit.makeRoom(for: 0, reserve: StartError.fewestDescriptors)
        } catch {
            throw .tooFewDescriptors(error)
        }
    }

    private func findFreezer() throws -> FilePath {
        let daemon: FilePath
        do throws(Errno) {
            daemon = try readSymbolicLink("/proc/self/exe")
        } catch {
            throw StartError.ownPathUnknown(error)
        }
        return try FreezerExecutable.find(beside: daemon)
    }

    private func readConfiguration() throws -> Configuration {
        let file = config.map { FilePath($0) }
        try Configuration.verifyTrust(of: file)
        let configuration = try Configuration.load(from: file)
        try configuration.verifyTrustOfPaths()
        return configuration
    }

    /// Nil if the state is not published.
    private func publisher(_ kvp: Configuration.KVP) -> (any StatePublisher)? {
        kvp.enabled == .off ? nil : PoolPublisher(pool: kvp.pool, isRequired: kvp.enabled == .on)
    }

    private func addChannels(
        to coordinator: Coordinator, _ configuration: Configuration, _ serviceManager: ServiceManager?
    ) throws {
        let hyperv = configuration.hyperv
        if hyperv.enabled != .off {
            let delivery = coordinator.delivery
            coordinator.add(
                try HyperVChannel(device: hyperv.device, isRequired: hyperv.enabled == .on) { event in
                    delivery(.hyperV, event)
                })
        }
        let qemu = configuration.qemu
        let stored = serviceManager?.takeStoredDescriptor()
        if qemu.enabled != .off {
            let delivery = coordinator.delivery
            var setup = QEMUChannel.Setup(
                device: qemu.device, isRequired: qemu.enabled == .on,
                unanswered: configuration.paths.run.appending("unanswered"), stored: stored)
            if let serviceManager { setup.keep = { serviceManager.store($0) } }
            let channel = try QEMUChannel(setup) { event in delivery(.qemu, event) }
            coordinator.add(channel)
            coordinator.add(observer: channel)
        } else {
            serviceManager?.store(nil)
            try? stored?.close()
        }
        let control = ControlChannel(
            socket: configuration.control.socket,
            inquiry: CoordinatorInquiry(
                tellStatus: coordinator.statusInquiry, tellHistory: coordinator.historyInquiry),
            deliver: coordinator.delivery)
        coordinator.add(control)
        coordinator.add(observer: control)
        try addVsock(to: coordinator, configuration)
    }

    private func addVsock(to coordinator: Coordinator, _ configuration: Configuration) throws {
        guard configuration.vsock.enabled == .on else { return }
        var setup = VsockChannel.Setup(port: UInt32(configuration.vsock.port))
        setup.mayFreeze = configuration.vsock.access == .control
        setup.token = try configuration.readToken()
        let channel = try VsockChannel(
            setup,
            inquiry: CoordinatorInquiry(
                tellStatus: coordinator.statusInquiry, tellHistory: coordinator.historyInquiry),
            deliver: coordinator.delivery)
        coordinator.add(channel)
        coordinator.add(observer: channel)
    }
}
