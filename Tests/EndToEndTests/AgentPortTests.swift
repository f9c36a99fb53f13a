import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// The guest agent port beside the other channels, and clients that come and go.
extension EndToEnd {
    @Suite struct AgentPortTests {
        @Test(arguments: BackupHostKind.allCases)
        func `P3 P8 a freeze of another channel in the window is refused, and the window goes on`(
            of owner: BackupHostKind
        ) throws {
            let rig = try DaemonRig(agentPort: .kept)
            let port = try rig.agent
            let other = try rig.host(owner == .hyperV ? .qemu : .hyperV)
            #expect(try rig.host(owner).freeze().isSuccess)
            for _ in 0..<3 {
                #expect(try other.freeze().isFailure)
                // A thaw after a failed freeze is no error.
                #expect(try other.thaw() == .success(filesystems: owner == .hyperV ? 0 : nil))
                #expect(try FreezeProof.isFrozen("/"))
            }
            let status = try port.ask("guest-fsfreeze-status")
            #expect(status == .text(owner == .hyperV ? "thawed" : "frozen"))
            // qemu-ga would write to its log.
            #expect(try port.ask("guest-get-osinfo").errorClass == AgentHost.Reply.notFound)
            #expect(try rig.host(owner).thaw().isSuccess)
            #expect(try rig.record().result == .succeeded)
            #expect(try other.freeze().isSuccess)
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try other.thaw().isSuccess)
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(try rig.stop() == .exited(0))
        }

        @Test func `P3 thousands of freezes and thaws in a single write are served in order`() throws {
            let rig = try DaemonRig(agentPort: .kept)
            let port = try rig.agent
            #expect(try port.freeze() == .success(filesystems: 1))
            let refused = AgentHost.Reply.error(
                class: AgentHost.Reply.notFound,
                reason: "Command guest-fsfreeze-freeze has been disabled: the agent is in frozen state")
            let (freeze, thaw) = ("guest-fsfreeze-freeze", "guest-fsfreeze-thaw")
            var requests: [(command: String, reply: AgentHost.Reply)] =
                Array(repeating: (freeze, refused), count: 1000) + [(thaw, .number(1))]
                + Array(repeating: (thaw, .number(0)), count: 1000)
            for _ in 0..<5 { requests += [(freeze, .number(1)), (freeze, refused), (thaw, .number(1))] }
            let sent = requests.map { port.request($0.command) }
            try port.send(sent.flatMap(\.bytes))
            for (index, request) in sent.enumerated() {
                let reply = try port.reply(to: request.id)
                #expect(reply == requests[index].reply, "request \(index)")
            }
            let ids = port.repliedIDs
            #expect(ids == ids.sorted())
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(try rig.record(number: 6).result == .succeeded)
        }

        @Test func `P3 the service manager keeps the port, once, from one daemon to the next`() throws {
            let rig = try DaemonRig(agentPort: .stored)
            for _ in 0..<3 {
                #expect(try rig.agent.freeze() == .success(filesystems: 1))
                #expect(try rig.agent.thaw() == .success(filesystems: 1))
                #expect(try rig.stop() == .exited(0))
                #expect(rig.storeCount == 1)
                try rig.start()
            }
            #expect(try rig.stop() == .exited(0))
            #expect(rig.storeCount == 1)
        }

        /// The other end of a terminal opens once: otherwise than at the port of a virtual machine, the channel is lost.
        @Test
        func `P1 P3 a port that hangs up in the window is lost, and the next client receives the error once`()
            throws
        {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig(agentPort: .plain)
            let port = try rig.agent
            #expect(try port.freeze() == .success(filesystems: 2))
            let hungUp = Moment.now
            port.hangUp()
            let record = try rig.record()
            #expect(record.isLost && Moment.now - hungUp < .seconds(5))
            for mountPoint in [filesystem.mountPoint, "/"] {
                #expect(try !FreezeProof.isFrozen(mountPoint), "\(mountPoint)")
            }
            let successor = try AgentHost(at: port.path)
            // A freeze from before the opening can be stale.
            guard case .failure(let reason) = try successor.freeze() else {
                Issue.record("a freeze before guest-sync succeeds")
                return
            }
            #expect(reason.contains("send guest-sync first"), "\(reason)")
            try successor.synchronize()
            #expect(try successor.thaw().isFailure)
            #expect(try successor.thaw() == .success(filesystems: 0))
            #expect(try successor.freeze() == .success(filesystems: 2))
            #expect(try successor.thaw() == .success(filesystems: 2))
            try rig.expectHealthy(freezing: [filesystem.mountPoint])
            #expect(try rig.stop() == .exited(0))
            try filesystem.remove()
        }
    }
}
