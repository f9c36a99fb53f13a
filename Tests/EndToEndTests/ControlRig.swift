import ControlProtocol
import Foundation
import History
import SystemPackage

/// quiescectl towards the rig's daemon.
extension DaemonRig {
    typealias Outcome = (ending: RunningProgram.Ending, output: String, errors: String)

    var socket: FilePath { runDirectory.appending("control.sock") }

    /// Waits until the control socket is there: the daemon is asked by hand only then.
    func waitForSocket() throws {
        // The file is there a moment before it can be connected to (proc_pid_net(5): __SO_ACCEPTCON).
        try wait(for: "the control socket; log: \(log)") {
            try String(contentsOfFile: "/proc/net/unix", encoding: .utf8).split(separator: "\n").contains { line in
                let fields = line.split(separator: " ")
                return fields.last == Substring(socket.string) && fields[3] == "00010000"
            }
        }
    }

    func status() throws -> ControlStatus {
        let (ending, output, errors) = try control("status", "--json")
        guard ending == .exited(0) else { throw Failure(description: "status: \(ending): \(errors)") }
        return try JSONDecoder().decode(ControlStatus.self, from: Data(output.utf8))
    }

    /// Waits until the daemon is in a state.
    func waitUntil(_ state: ControlState) throws {
        try wait(for: "\(state); log: \(log)") { try status().state == state }
    }

    /// Starts `quiescectl exec -- command`.
    func exec(_ command: String...) throws -> RunningProgram {
        let program = try RunningProgram(
            ScratchWorld.programs.appending("quiescectl"),
            ["exec", "--config", configuration.string, "--"] + command)
        try program.closeInput()
        return program
    }

    /// Starts `quiescectl` without waiting for its end.
    func controlling(_ arguments: String...) throws -> RunningProgram {
        let program = try RunningProgram(
            ScratchWorld.programs.appending("quiescectl"), arguments + ["--config", configuration.string],
            environment: environment)
        try program.closeInput()
        return program
    }
}
