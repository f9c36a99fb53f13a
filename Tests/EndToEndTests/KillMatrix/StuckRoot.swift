import Channels
import ControlProtocol
import FreezeCore
import FreezerProtocol
import History
import LinuxCalls
import SystemPackage
import Testing

/// A FIFREEZE of `/` hangs behind a writer, after the failure of the request: `/` is stuck.
///
/// Every write to `/` hangs as well until `release()`, also writes to the daemon's history and log.
final class StuckRoot {
    let rig: DaemonRig
    let ledger: Ledger
    let freezer: ProcessHandle
    /// Beside `/`.
    let other: ScratchFilesystem
    private let listener: OpenPermissionListener
    private let writer: RunningProgram

    /// - Parameter log: The daemon's log file; nil for a pipe.
    init(loggingTo log: FilePath? = nil) throws {
        other = try ScratchFilesystem(.ext4)
        rig = try DaemonRig(
            configuration: ["freeze": "timeout = \"1s\""],
            hooks: ["10-trace": "echo \"$1${QUIESCE_RESULT:+ $QUIESCE_RESULT}\" >> $TRACE"], isStarted: false)
        let file: FilePath = "/var/held"
        try RunningProgram.output(of: "touch", [file.string])
        try rig.start(loggingTo: log)
        listener = try OpenPermissionListener(file)
        writer = try listener.addWriter()
        freezer = try CrashScene.freezer(rig)
        CrashScene.expectRefused(try rig.freeze())
        ledger = try CrashScene.ledger(rig)
        #expect(try rig.status().stuck == ["/"])
        #expect(ledger.unsettled.count == 1)
        try rig.waitForTrace("thaw failed")
    }

    /// Lets the FIFREEZE return.
    func release() {
        listener.release()
    }

    func waitForThaw(since start: Moment, _ what: String) throws {
        try CrashScene.waitForThaw(of: ledger, since: start, within: .seconds(10))
        print("MEASURED: \((Moment.now - start).milliseconds) ms from \(what) until / was thawed")
        #expect(try !FreezeProof.isFrozen("/"))
        #expect(try writer.waitForExit() == .exited(0))
    }

    func expectHealthyAndRemove() throws {
        try rig.waitUntilReleased()
        try rig.expectHealthy(freezing: [other.mountPoint])
        #expect(try rig.stop() == .exited(0))
        try other.remove()
    }
}
