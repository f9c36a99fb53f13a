import Channels
import ControlProtocol
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// Whatever is sent to the control socket, the window goes on, the daemon answers others, and nothing of it stays.
extension EndToEnd {
    @Suite struct ControlAttackTests {
        /// A rig in the window, and what its daemon had open before.
        private func frozenRig() throws -> (rig: DaemonRig, descriptors: Int) {
            let rig = try DaemonRig()
            try rig.waitForSocket()
            _ = try rig.status()
            let descriptors = try ProcessStatus.settled(of: rig.daemon.processIdentifier)
            #expect(try rig.freeze().status == .success)
            return (rig, descriptors)
        }

        private func expectUnmoved(_ rig: DaemonRig, _ descriptors: Int) throws {
            #expect(try rig.status().state == .frozen)
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record().result == .succeeded)
            try rig.waitUntilReleased()
            let daemon = rig.daemon.processIdentifier
            let isAsBefore = try ProcessStatus.waitForDescriptors(descriptors, of: daemon)
            let after = try ProcessStatus.openFiles(of: daemon)
            #expect(isAsBefore, "\(descriptors) before, \(after.count) now: \(after)")
            try rig.expectHealthy(freezing: [])
            #expect(try rig.stop() == .exited(0))
            #expect(!FileManager.default.fileExists(atPath: rig.socket.string))
        }

        @Test(arguments: [
            "\u{0}", "garbage\u{0}", "[]\u{0}", "{}\u{0}", "{\"method\":5}\u{0}", "{\"method\":\"\"}\u{0}",
            "{\"method\":\"org.quiesce.Control1.Thaw\",\"parameters\":[]}\u{0}",
            "{\"method\":\"org.quiesce.Control1.Thaw\",\"parameters\":{\"force\":\"yes\"}}\u{0}",
            "{\"method\":\"org.quiesce.Control1.Nothing\"}\u{0}",
            "{\"method\":\"org.quiesce.Control1.Monitor\"}\u{0}",
            "{\"method\":\"org.quiesce.Control1.History\",\"parameters\":{\"limit\":-1}}\u{0}",
            "{\"method\":\"org.quiesce.Control1.History\",\"parameters\":{\"limit\":1e99}}\u{0}",
            String(repeating: "[", count: 100_000) + "\u{0}",
        ])
        func `garbage is answered with an error or the end`(message: String) throws {
            let (rig, descriptors) = try frozenRig()
            do {
                let client = try RawClient(rig.socket)
                try client.send(bytes: Array(message.utf8))
                if let answer = try? client.receive() { #expect(answer.error != nil, "\(answer)") }
            }
            try expectUnmoved(rig, descriptors)
        }

        @Test func `P9 1,000 connections that say nothing, or half of something, hold nothing up`() throws {
            let (rig, descriptors) = try frozenRig()
            let daemon = rig.daemon.processIdentifier
            let request = try rig.status().request
            try DescriptorLimit.makeRoom(for: 1000, reserve: 200)
            let call = Array(#"{"method":"org.quiesce.Control1.Thaw","parameters":{"force":true}}"#.utf8)
            var clients: [RawClient] = []
            for number in 0..<1000 {
                let client = try RawClient(rig.socket)
                // Every beginning of a call that would end the window.
                if number.isMultiple(of: 2) {
                    try? client.send(bytes: Array(call.prefix(number / 2 % call.count)))
                }
                clients.append(client)
                if number % 100 == 99 {
                    let asked = Moment.now
                    #expect(try rig.status().state == .frozen)
                    #expect(Moment.now - asked < .seconds(2))
                }
            }
            // There may be 128 of them: the ones that were idle longest made room.
            let open = clients.count {
                pollOne($0.descriptor, events: .readable, atMost: .zero).isDisjoint(with: [.hangUp, .readable])
            }
            print("MEASURED: of 1,000 silent connections \(open) are open")
            #expect(open <= 128 && open > 100)
            #expect(try ProcessStatus.descriptors(of: daemon) <= descriptors + 128 + 40)
            #expect(try rig.status().request?.id == request?.id)
            clients = []
            try expectUnmoved(rig, descriptors)
        }

        @Test func `a line of 100 MB is refused, and costs no memory`() throws {
            let (rig, descriptors) = try frozenRig()
            let before = try ProcessStatus.number("VmRSS", of: rig.daemon.processIdentifier)
            let client = try RawClient(rig.socket)
            let chunk = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
            #expect(throws: (any Error).self) {
                for _ in 0..<100 { try client.send(bytes: chunk) }
            }
            let after = try ProcessStatus.number("VmRSS", of: rig.daemon.processIdentifier)
            print("MEASURED: \(after - before) KiB more resident after a line of 100 MB")
            #expect(after - before < 8 * 1024)
            try expectUnmoved(rig, descriptors)
        }

        @Test func `P9 a subscriber that reads nothing holds nothing up`() throws {
            let (rig, descriptors) = try frozenRig()
            var client: RawClient? = try RawClient(rig.socket)
            try client?.send("{\"method\":\"org.quiesce.Control1.Monitor\",\"more\":true}")
            #expect(try rig.thaw().status == .success)
            try rig.waitUntilReleased()
            #expect(try rig.freeze().status == .success)
            #expect(try rig.status().state == .frozen)
            client = nil
            #expect(try rig.thaw().status == .success)
            try rig.waitUntilReleased()
            #expect(try ProcessStatus.waitForDescriptors(descriptors, of: rig.daemon.processIdentifier))
        }

        @Test func `P9 who takes all connections for watching, or for the history, does not keep status out`()
            throws
        {
            let (rig, descriptors) = try frozenRig()
            var clients: [RawClient] = []
            for number in 0..<160 {
                let client = try RawClient(rig.socket)
                let call = number.isMultiple(of: 2) ? "Monitor\",\"more\":true" : "History\""
                try? client.send("{\"method\":\"org.quiesce.Control1.\(call)}")
                clients.append(client)
            }
            #expect(try rig.status().state == .frozen)
            clients = []
            try expectUnmoved(rig, descriptors)
        }

        @Test func `a caller that goes before freeze is answered is no reason to stop`() throws {
            let rig = try DaemonRig(hooks: ["10-waits": "[ $1 = thaw ] || \(DaemonRig.waiting(forGate: "hook"))"])
            try rig.waitForSocket()
            var client: RawClient? = try RawClient(rig.socket)
            try client?.send("{\"method\":\"org.quiesce.Control1.Freeze\"}")
            try rig.waitUntil(.freezeHooks)
            client = nil
            try rig.open(gate: "hook")
            try rig.waitUntil(.frozen)
            #expect(try rig.control("thaw").ending == .exited(0))
        }

        @Test func `P1 a holder that goes before freeze is answered ends its request`() throws {
            let rig = try DaemonRig(hooks: ["10-waits": "[ $1 = thaw ] || \(DaemonRig.waiting(forGate: "hook"))"])
            try rig.waitForSocket()
            var client: RawClient? = try RawClient(rig.socket)
            try client?.send("{\"method\":\"org.quiesce.Control1.Freeze\",\"parameters\":{\"hold\":true}}")
            try rig.waitUntil(.freezeHooks)
            client = nil
            try rig.waitUntil(.idle)
            #expect(try rig.record().reason?.contains("connection") == true)
            try rig.open(gate: "hook")
            try rig.expectHealthy(freezing: [])
        }
    }
}
