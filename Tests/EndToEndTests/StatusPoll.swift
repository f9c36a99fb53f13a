import ControlProtocol
import Foundation
import FreezeCore
import LinuxCalls
import Synchronization
import SystemPackage
import Testing

/// Asks a daemon for its status all the time, from a thread of its own, and remembers what it said and how long it took.
final class StatusPoll: Sendable {
    struct Findings: Sendable {
        var count = 0
        var worst = Duration.zero
        /// Mount points that it said are being frozen at the moment, in a state in which the window is open.
        var freezing: Set<String> = []
        var stuck: Set<String> = []
        /// Why the daemon could not be asked any more.
        var failure: String?
    }

    private struct Reply: Decodable {
        let parameters: ControlStatus
    }

    private let findings = Mutex(Findings())
    private let isWanted = Mutex(true)
    private let end = DispatchSemaphore(value: 0)

    init(_ rig: DaemonRig) throws {
        try rig.waitForSocket()
        let client = try RawClient(rig.socket)
        try OperatingSystemThread.start("status poll") { [self] in
            while isWanted.withLock({ $0 }) { ask(client) }
            end.signal()
        }
    }

    private func ask(_ client: RawClient) {
        let asked = Moment.now
        do {
            try client.send("{\"method\":\"\(ControlInterface.Method.status.qualifiedName)\"}")
            let status = try JSONDecoder().decode(Reply.self, from: Data(client.nextMessage())).parameters
            let taken = Moment.now - asked
            findings.withLock { findings in
                findings.count += 1
                findings.worst = max(findings.worst, taken)
                findings.stuck.formUnion(status.stuck)
                for filesystem in status.request?.filesystems ?? [] where filesystem.progress == "freezing" {
                    findings.freezing.insert(filesystem.mountPoint)
                }
            }
            // Not to keep a processor busy: this is about the worst answer, not about their number.
            usleep(2_000)
        } catch {
            findings.withLock { $0.failure = "\(error)" }
            isWanted.withLock { $0 = false }
        }
    }

    func stop() -> Findings {
        isWanted.withLock { $0 = false }
        end.wait()
        end.signal()
        return findings.withLock { $0 }
    }

    /// P9: every question was answered, in the time that a human does not notice.
    func expectAlwaysAnswered(_ what: String) -> Findings {
        let findings = stop()
        print(
            "MEASURED: status answered \(findings.count) times, \(findings.worst.milliseconds) ms at worst, \(what)"
        )
        #expect(findings.failure == nil)
        #expect(findings.count > 10)
        #expect(findings.worst < .seconds(1))
        return findings
    }
}
