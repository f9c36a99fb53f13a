import Channels
import Foundation
import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// A stock agent that freezes and thaws this machine on behalf of another host, and knows nothing of quiesce.
protocol ForeignAgent: Sendable {
    /// False if it says that it failed.
    func freeze() throws -> Bool
    func thaw() throws -> Bool
}

/// Debian's hv_vss_daemon on a simulated device of its own.
final class StockHyperVAgent: ForeignAgent {
    private let host: HyperVHostSimulator
    private let daemon: RunningProgram

    init() throws {
        try ScratchWorld.require()
        try RunningProgram.output(of: "mkdir", ["-p", "/dev/vmbus"])
        // It logs by syslog(3).
        let log = try bindDatagramSocket(at: "/dev/log")
        defer {
            try? log.close()
            unlink("/dev/log")
        }
        // The path is written into the program.
        host = try HyperVHostSimulator(at: "/dev/vmbus/hv_vss")
        daemon = try RunningProgram("hv_vss_daemon", ["-n"])
        try daemon.closeInput()
        guard host.waitForRegistration(until: .now + .seconds(10)) else {
            throw DaemonRig.Failure(description: "hv_vss_daemon did not register: \(daemon.text(of: .errors))")
        }
        // It takes what comes with the version for a part of it: the driver keeps messages apart, a pty does not.
        while try !String(decoding: readOnce(log, atMost: 4096), as: UTF8.self).contains("kernel module version") {
            guard !pollOne(log, events: .readable, atMost: .seconds(10)).isEmpty else { throw Errno.timedOut }
        }
    }

    deinit {
        daemon.send(SIGKILL)
        host.close()
    }

    func freeze() throws -> Bool { try host.perform(.freeze).status == .success }
    func thaw() throws -> Bool { try host.perform(.thaw).status == .success }
}

/// QEMU's guest agent, on a socket in place of the virtio port (docs/interop/qemu-ga-ref: guest-fsfreeze-freeze).
final class StockQEMUAgent: ForeignAgent {
    private static let directory: FilePath = "/tmp/qemu-ga"
    private let agent: RunningProgram
    private let client: LineClient

    /// - Parameter hook: what it calls before it freezes and after it thaws.
    init(hook: FilePath? = nil) throws {
        try ScratchWorld.require()
        let socket = Self.directory.appending("socket")
        try RunningProgram.output(of: "rm", ["-rf", Self.directory.string])
        try RunningProgram.output(of: "mkdir", ["-p", Self.directory.string])
        let agent = try RunningProgram(
            "qemu-ga",
            ["-m", "unix-listen", "-p", socket.string, "-t", Self.directory.string]
                + (hook.map { ["--fsfreeze-hook=\($0)"] } ?? []))
        try agent.closeInput()
        self.agent = agent
        try wait(for: "qemu-ga's socket; it says: \(agent.text(of: .errors))") {
            FileManager.default.fileExists(atPath: socket.string)
        }
        client = LineClient(try RawClient(socket))
    }

    deinit { agent.send(SIGKILL) }

    func freeze() throws -> Bool { try call("guest-fsfreeze-freeze") }
    func thaw() throws -> Bool { try call("guest-fsfreeze-thaw") }

    private func call(_ command: String) throws -> Bool {
        let answer = try client.call("{\"execute\":\"\(command)\"}")
        return answer.contains("\"return\"")
    }
}

/// One line there, one line back.
private final class LineClient: Sendable {
    private let client: RawClient

    init(_ client: RawClient) { self.client = client }

    func call(_ line: String) throws -> String {
        try client.send(bytes: Array("\(line)\n".utf8))
        var answer: [UInt8] = []
        while answer.last != 0x0A {
            guard !pollOne(client.descriptor, events: .readable, atMost: .seconds(30)).isEmpty else {
                throw Errno.timedOut
            }
            let piece = try readOnce(client.descriptor, atMost: 4096)
            guard !piece.isEmpty else { throw Errno.brokenPipe }
            answer += piece
        }
        return String(decoding: answer, as: UTF8.self)
    }
}
