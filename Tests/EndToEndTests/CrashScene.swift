import Channels
import Foundation
import FreezeCore
import FreezerProtocol
import History
import LinuxCalls
import SystemPackage
import Testing

/// A daemon that has frozen real filesystems for its host, about to be hurt; and what must hold afterwards.
final class CrashScene {
    let rig: DaemonRig
    let filesystems: [ScratchFilesystem]
    /// Of the request that is about to be cut short, as another guard would map it.
    private(set) var ledger: Ledger
    /// The freezer that serves it.
    private(set) var freezer: ProcessHandle

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Freezes everything, the world's root too. The one hook writes what it is called with.
    init(configuration: [String: String] = [:], hasStopPoints: Bool = false) throws {
        filesystems = [try ScratchFilesystem(.ext4), try ScratchFilesystem(.xfs)]
        rig = try DaemonRig(
            configuration: configuration,
            hooks: ["10-trace": "echo \"$1${QUIESCE_RESULT:+ $QUIESCE_RESULT}\" >> $TRACE"],
            hasStopPoints: hasStopPoints)
        #expect(try rig.hotBackup().status == .success)
        #expect(try rig.freeze().status == .success)
        ledger = try Self.ledger(rig)
        freezer = try Self.freezer(rig)
        try expectFrozen()
    }

    static func ledger(_ rig: DaemonRig) throws -> Ledger {
        guard let ledger = try RunDirectory(rig.runDirectory, creating: false).openLedger() else {
            throw Failure(description: "no ledger; log: \(rig.log)")
        }
        return ledger
    }

    static func freezer(_ rig: DaemonRig) throws -> ProcessHandle {
        guard let identity = ProcessIdentity(of: try rig.freezerProcess()), let handle = ProcessHandle(identity)
        else { throw Failure(description: "no freezer; log: \(rig.log)") }
        return handle
    }

    private var mountPoints: [FilePath] { filesystems.map(\.mountPoint) + ["/"] }

    func expectFrozen() throws {
        for mountPoint in mountPoints { #expect(try FreezeProof.isFrozen(mountPoint), "\(mountPoint)") }
    }

    func expectThawed() throws {
        for mountPoint in mountPoints { #expect(try !FreezeProof.isFrozen(mountPoint), "\(mountPoint)") }
    }

    /// Kills both processes of quiesce so that neither can thaw.
    func killBoth() throws {
        try rig.killBoth()
        #expect(ledger.unsettled.count == mountPoints.count)
        try expectFrozen()
    }

    /// Waits until the ledger says that everything is thawed, and tells how long that took; proves it.
    @discardableResult
    func waitForThaw(
        since start: Moment, within limit: Duration = .seconds(10), _ what: String
    ) throws -> Duration {
        try Self.waitForThaw(of: ledger, since: start, within: limit)
        let after = Moment.now - start
        print("MEASURED: \(after.milliseconds) ms from \(what) until everything was thawed")
        try expectThawed()
        return after
    }

    static func waitForThaw(of ledger: Ledger, since start: Moment, within limit: Duration) throws {
        while !ledger.unsettled.isEmpty {
            guard Moment.now < start + limit else {
                throw Failure(description: "not thawed within \(limit): \(ledger.unsettled)")
            }
            // Polled, with a deadline: memory tells nobody that it changed.
            usleep(200)
        }
    }

    /// P3: the host's THAW is answered, and not with success.
    func expectThawIsRefused() throws { try Self.expectRefused(rig.thaw()) }

    static func expectRefused(_ answer: HyperVHostAnswer) {
        guard case .answered(let message) = answer.outcome else {
            Issue.record("not answered: \(answer.outcome)")
            return
        }
        #expect(message.status == .failure)
    }

    /// The record of the request that was cut short, and P4: its hook was called for thaw, once, with `failed`.
    func expectFailedRecord(saying reason: String) throws {
        let record = try rig.record()
        #expect(record.result == .failed)
        #expect(record.reason?.contains(reason) == true, "\(record.reason ?? "no reason")")
        #expect(record.id.text == ledger.requestID)
        try rig.waitForTrace("thaw failed")
        #expect(try rig.traced() == ["freeze", "thaw failed"])
    }

    /// The next backup works, and when all is over nothing of quiesce is left.
    ///
    /// - Parameter earlier: The number of requests before.
    func expectNextBackupAndCleanEnd(after earlier: Int = 1) throws {
        try expectThawed()
        #expect(try rig.hotBackup().status == .success)
        let answer = try rig.freeze()
        #expect(answer.status == .success, "log: \(rig.log)")
        try expectFrozen()
        #expect(try rig.thaw().status == .success)
        try expectThawed()
        #expect(try rig.record(number: earlier + 1).result == .succeeded)
        let last = try Self.freezer(rig)
        #expect(try rig.stop() == .exited(0))
        #expect(last.waitForEnd(atMost: .seconds(5)) && freezer.waitForEnd(atMost: .seconds(5)))
        #expect(!FileManager.default.fileExists(atPath: rig.runDirectory.appending("ledger").string))
        for filesystem in filesystems { try filesystem.remove() }
    }
}
