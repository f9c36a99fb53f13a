import ArgumentParser
import Configuration
import ControlProtocol
import FreezeCore
import Glibc
import History
import LinuxCalls
import Presentation
import SystemPackage

/// `quiescectl exec`: freezes for the time of one command.
struct ExecCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec",
        abstract: "Freeze, run a command, thaw.",
        discussion: """
            For a snapshot that another program takes: of a storage array, or of a cloud's disks. Not for LVM, which \
            freezes by itself and would wait for ever. The command must not write to anything that is frozen: it would \
            wait until freeze.max_window is over; on XFS a command that only reads can wait, too, when it closes a file \
            that another program has extended. Its output must not go to a file on a filesystem that would be frozen. If \
            the window ends before the command, its end is waited for all the same. Its environment has QUIESCE_REQUEST_ID besides. If it fails, so has \
            the request, for the record.

            Whatever happens to quiescectl, everything is thawed: when its connection ends, so does the window.

            Exit status: that of the command (128 + n if signal n ended it; 126 if it is there but cannot be run); but \
            1 freezing failed or was cancelled, and the command was not run, or the result cannot be told; 2 wrong \
            usage or configuration, there is no such program, or its output goes to a file that would be frozen: nothing \
            was frozen; 3 quiesced cannot be reached; \
            4 another request is under way; 5 the window ended before the command did: do not trust what it took; \
            6 the command succeeded, but a hook failed at thaw: its application may be down.

            Examples:
              quiescectl exec -- take-snapshot --volume data
              quiescectl exec --rehearsal -- sleep 5
              quiescectl exec -- sh -c 'ssh array snapshot create vm7'
            """)

    @OptionGroup var options: SocketOption

    @Flag(help: "Do not count the request as a backup.")
    var rehearsal = false

    @Flag(help: "Afterwards print the request's record as JSON.")
    var json = false

    @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
    var command: [String] = []

    func validate() throws {
        guard !command.isEmpty else { throw ValidationError("Name a command to run, after --.") }
    }

    func run() throws {
        // Before the freeze: what cannot be run need not stop anybody.
        let program = try ProgramFile(named: command[0])
        try FrozenOutput.refuse(options.configuration)
        let socket = try options.path()
        let progress = try RequestProgressDisplay.start(socket, channel: "exec", isQuiet: json)
        let connection = try ControlConnection.open(socket)
        let reply: FreezeReply
        let cancel = try CancelAtSignal(socket, progress, isHeld: true) { connection.close() }
        do throws(ControlFailure) {
            reply = try connection.freeze(FreezeParameters(hold: true, rehearsal: rehearsal ? true : nil))
        } catch {
            throw progress.failed(error, isCancelled: cancel.wasAsked, connection)
        }
        cancel.stop()
        if cancel.wasAsked {
            // It came while the answer was on its way.
            _ = try? connection.thaw(
                ThawParameters(request: reply.request, failure: CancelAtSignal.reason))
            _ = progress.finished(reply.request)
            connection.close()
            throw ControlFailure.cancelled(request: reply.request)
        }
        let child = reply.dryRun ? .notRun : run(program, reply.request, progress)
        let lost: ControlFailure?
        do throws(ControlFailure) {
            _ = try connection.thaw(ThawParameters(request: reply.request, failure: child.failure))
            lost = nil
        } catch {
            lost = error.about(reply.request)
        }
        let record = progress.finished(reply.request)
        connection.close()
        throw conclude(reply, record, child, lost)
    }

    private func run(
        _ program: ProgramFile, _ request: String, _ progress: RequestProgressDisplay
    ) -> ChildCommand.Outcome {
        let name = command[0]
        let outcome = ChildCommand(program, command).run(request) { process in
            progress.commandStarted(name, process: process)
        }
        progress.commandEnded()
        return outcome
    }

    /// Tells how it went, now that nothing is frozen any more.
    private func conclude(
        _ reply: FreezeReply, _ record: RequestRecord?, _ child: ChildCommand.Outcome, _ lost: ControlFailure?
    ) -> ExitCode {
        if let problem = child.problem { printError(problem) }
        let isAttention = child.status == .success && record?.attention.isEmpty == false
        let done = isAttention ? ExitCode.attention : child.status
        let status = telling(lost == nil ? done : .consistencyLost) {
            guard let record else {
                throw lost ?? ControlFailure.endUnknown(request: reply.request, isForced: false)
            }
            if json {
                try printText(prettyJSON(record) + "\n")
            } else {
                printErrorLines(RequestSummary(record, isReasonTold: lost != nil).lines)
            }
        }
        if reply.dryRun {
            printError("quiescectl: a dry run: \(escapedControlCharacters(command[0])) was not run.")
        }
        if record != nil, let lost { printError(lost) }
        return status
    }
}
