import Channels
import Foundation
import FreezeCore
import LinuxCalls
import SystemPackage

/// Has the rig's processes stand still at a place of their own code, to be hurt there.
extension DaemonRig {
    /// The next process that comes to this point stops there.
    func arm(_ point: String) throws {
        guard let stopPoints else { throw Failure(description: "this rig has no stop points") }
        try Data().write(to: URL(fileURLWithPath: stopPoints.appending(point).string))
    }

    /// Whether nobody has come to the point since it was armed.
    func isArmed(_ point: String) -> Bool {
        guard let stopPoints else { return false }
        return FileManager.default.fileExists(atPath: stopPoints.appending(point).string)
    }

    /// The answer to a FREEZE whose freezer is stopped at the point meanwhile.
    func freeze(meanwhile point: String, _ work: () throws -> Void) throws -> HyperVHostAnswer {
        try arm(point)
        let answer = PendingAnswer(.freeze, of: host)
        let freezer = try freezerProcess()
        try waitForStop(of: freezer, at: point)
        let result = Result(catching: work)
        kill(freezer, SIGCONT)
        try result.get()
        return try answer.value()
    }

    /// Waits until the process stands still.
    func waitForStop(of process: pid_t, at point: String) throws {
        try wait(for: "process \(process) at \(point); log: \(log)") {
            try !isArmed(point) && ProcessRecord.read(process)?.state == "T"
        }
    }
}
