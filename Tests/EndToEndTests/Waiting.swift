import Channels
import Foundation
import LinuxCalls
import Synchronization
import SystemPackage
import Testing

/// Waits for what tells nobody that it happened, such as a file or a process's state: looks again, with a deadline.
///
/// - Throws: `DaemonRig.Failure` that names what did not happen.
func wait(for what: String, within limit: Duration = .seconds(10), until condition: () throws -> Bool) throws {
    let deadline = ContinuousClock.now + limit
    while try !condition() {
        guard ContinuousClock.now < deadline else {
            throw DaemonRig.Failure(description: "not within \(limit): \(what)")
        }
        usleep(5_000)
    }
}

/// A request on its way, from a thread of its own: the test can look around meanwhile.
final class PendingAnswer<Answer: Sendable>: Sendable {
    private let answer = Mutex<Result<Answer, any Error>?>(nil)

    init(_ ask: @escaping @Sendable () throws -> Answer) {
        Thread.detachNewThread { [self] in
            let result = Result { try ask() }
            answer.withLock { $0 = result }
        }
    }

    var isThere: Bool { answer.withLock { $0 != nil } }

    /// - Throws: if it has not come by then.
    func value(within limit: Duration = .seconds(15)) throws -> Answer {
        try wait(for: "an answer of the daemon", within: limit) { isThere }
        guard let result = answer.withLock({ $0 }) else { throw Errno.timedOut }
        return try result.get()
    }
}

extension PendingAnswer where Answer == HyperVHostAnswer {
    convenience init(_ operation: HyperVOperation, of host: HyperVHostSimulator) {
        self.init { try host.perform(operation) }
    }
}

extension DaemonRig {
    /// A file that a hook can wait for with `await NAME`, on a tmpfs; made by `release`.
    func gate(_ name: String) -> FilePath { FilePath("\(trace.string).\(name)") }

    func open(gate name: String) throws {
        try RunningProgram.output(of: "touch", [gate(name).string])
    }

    /// Shell code that waits until the test opens the gate.
    static func waiting(forGate name: String) -> String {
        "until [ -e \"$TRACE.\(name)\" ]; do sleep 0.02; done"
    }

    /// The proof that a fault has left nothing behind: nothing is frozen, and the next backup is a whole one.
    ///
    /// - Parameter host: the host that asks now, if it is not the rig's first.
    func expectHealthy(
        freezing mountPoints: [FilePath], by host: HyperVHostSimulator? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let host = host ?? self.host
        let all = mountPoints + ["/"]
        for mountPoint in all {
            #expect(try !FreezeProof.isFrozen(mountPoint), "\(mountPoint)", sourceLocation: sourceLocation)
        }
        let answer = try host.perform(.freeze)
        #expect(answer.status == .success, "\(answer.outcome), log: \(log)", sourceLocation: sourceLocation)
        for mountPoint in all {
            #expect(try FreezeProof.isFrozen(mountPoint), "\(mountPoint)", sourceLocation: sourceLocation)
        }
        #expect(try host.perform(.thaw).status == .success, sourceLocation: sourceLocation)
        for mountPoint in all {
            #expect(try !FreezeProof.isFrozen(mountPoint), "\(mountPoint)", sourceLocation: sourceLocation)
        }
        try waitUntilReleased()
    }

    /// Waits until the daemon has let go of the last request, so that its filesystems can be unmounted: the ledger is
    /// removed after the thaw hooks, and a thread that still flushes keeps its descriptors a little longer.
    func waitUntilReleased() throws {
        try wait(for: "the end of the request; log: \(log)") {
            try !FileManager.default.fileExists(atPath: runDirectory.appending("ledger").string)
                && openMountPoints().isEmpty
        }
    }

    /// What the daemon and its freezer have open below /mnt, where the scratch filesystems are.
    private func openMountPoints() throws -> [String] {
        let daemon = daemon.processIdentifier
        let children = try RunningProgram.run("pgrep", ["-P", "\(daemon)"]).output.split(separator: "\n")
        return (["\(daemon)"] + children.map(String.init)).flatMap { process -> [String] in
            let directory = "/proc/\(process)/fd"
            let numbers = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
            return numbers.compactMap {
                try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/\($0)")
            }
        }.filter { $0.hasPrefix("/mnt/") }
    }
}
