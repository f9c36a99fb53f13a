import Glibc
import LinuxCalls
import SystemPackage
import Testing
import Varlink

/// What is no call, or no whole one.
struct MalformedCallTests {
    private static let echo = #"{"method":"org.example.test.Echo","parameters":{"text":"a"}}"#

    @Test(arguments: [
        ("", "message"),
        (" ", "message"),
        ("garbage", "message"),
        ("{", "message"),
        ("{}{}", "message"),
        ("[]", "message"),
        ("1", "message"),
        ("null", "message"),
        (#""method""#, "message"),
        (#"{"method":"org.example.test.Echo","parameters":{"text":"\ud800"}}"#, "parameters"),
        ("{}", "method"),
        (#"{"method":1}"#, "method"),
        (#"{"method":"org.example.test.Echo","more":"yes"}"#, "more"),
        (#"{"method":"org.example.test.Echo","parameters":[]}"#, "parameters"),
        (#"{"method":"org.example.test.Echo","parameters":"text"}"#, "parameters"),
    ])
    func `what is no call is answered with what is wrong with it`(text: String, parameter: String) throws {
        try TestService.run { service in
            let client = try service.connect()
            #expect(try client.call(text) == .invalid(parameter))
            #expect(try service.connect().call(Self.echo) == .text("a"))
        }
    }

    @Test(arguments: [
        Bytes(name: "text", bytes: Array("garbage".utf8)),
        Bytes(name: "no method", bytes: Array("{}".utf8)),
        Bytes(name: "lone continuation", bytes: Array(#"{"method":""#.utf8) + [0x80] + Array(#""}"#.utf8)),
        Bytes(name: "cut character", bytes: [0xC3]),
        Bytes(name: "overlong character", bytes: [0xC0, 0x80]),
        // In a member that no decoder looks at.
        Bytes(
            name: "lone continuation aside",
            bytes: Array(#"{"method":"org.example.test.Drop","x":""#.utf8) + [0x80] + Array(#""}"#.utf8)),
        Bytes(
            name: "arrays aside, deeper than the limit",
            bytes: Array(#"{"method":"org.example.test.Drop","x":"#.utf8)
                + [UInt8](repeating: UInt8(ascii: "["), count: 64)
                + [UInt8](repeating: UInt8(ascii: "]"), count: 64)
                + [UInt8(ascii: "}")]),
        // Far deeper than a decoder's stack allows.
        Bytes(name: "deep arrays", bytes: [UInt8](repeating: UInt8(ascii: "["), count: 200_000)),
        Bytes(name: "deep objects", bytes: Array(String(repeating: #"{"a":"#, count: 100_000).utf8)),
    ])
    func `a connection that what is no call came from is closed`(sample: Bytes) throws {
        try TestService.run { service in
            let client = try service.connect()
            try client.send(bytes: sample.bytes + [0] + Self.echo.utf8 + [0])
            #expect(try client.receive().error == "org.varlink.service.InvalidParameter")
            try client.waitUntilClosed()
            #expect(service.waitForNote { if case .malformedCall = $0 { true } else { false } })
            #expect(service.handler.waitUntil { $0.closed == 1 && $0.handled.isEmpty })
        }
    }

    /// Named, so that a log does not show all of them.
    struct Bytes: Sendable, CustomTestStringConvertible {
        let name: String
        let bytes: [UInt8]

        var testDescription: String { name }
    }

    @Test func `brackets in text nest nothing`() throws {
        try TestService.run { service in
            let text = String(repeating: #"[{\"\\"#, count: 1000)
            let client = try service.connect()
            let answer = try client.call(
                #"{"method":"org.example.test.Echo","parameters":{"text":"\#(text)"}}"#)
            #expect(answer.parameters.text == String(repeating: #"[{"\"#, count: 1000))
        }
    }

    @Test func `what is no call is answered in its turn`() throws {
        try TestService.run { service in
            let client = try service.connect()
            try client.send(bytes: Array((#"{"method":"org.example.test.Wait"}"# + "\0garbage\0").utf8))
            try service.handler.nextWaiting().reply(TestHandler.Echo(text: "first"))
            #expect(try client.receive() == .text("first"))
            #expect(try client.receive() == .invalid("message"))
            try client.waitUntilClosed()
        }
    }

    @Test func `a call may come in pieces, cut anywhere`() throws {
        try TestService.run { service in
            let client = try service.connect()
            let bytes = Array(#"{"method":"org.example.test.Echo","parameters":{"text":"ß"}}"#.utf8) + [0]
            for cut in 1..<bytes.count {
                try client.send(bytes: Array(bytes[..<cut]))
                #expect(client.waitUntilTaken())
                try client.send(bytes: Array(bytes[cut...]))
                #expect(try client.receive() == .text("ß"))
            }
            for byte in bytes {
                try client.send(bytes: [byte])
                #expect(client.waitUntilTaken())
            }
            #expect(try client.receive() == .text("ß"))
        }
    }

    @Test func `a call may be as long as the limit, and no longer`() throws {
        var limits = VarlinkLimits()
        limits.maximumMessage = 100_000
        try TestService.run(limits: limits) { service in
            let frame = #"{"method":"org.example.test.Echo","parameters":{"text":""}}"#.utf8.count
            for excess in [-1, 0, 1] {
                let text = String(repeating: "x", count: limits.maximumMessage - frame + excess)
                let client = try service.connect()
                try client.send(#"{"method":"org.example.test.Echo","parameters":{"text":"\#(text)"}}"#)
                #expect(try client.receive() == (excess > 0 ? .invalid("message") : .text(text)))
            }
        }
    }

    /// What is not taken cannot be kept: so this bounds the memory that such a line costs.
    @Test func `a line of 100 MB is refused when little more than the limit of it has been taken`() throws {
        try TestService.run { service in
            let client = try service.connect()
            let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 10_000)
            var sent = 0
            do throws(Errno) {
                while sent < 100_000_000 {
                    try client.send(bytes: piece)
                    sent += piece.count
                }
            } catch {
                #expect(error == .brokenPipe || error == .connectionReset)
            }
            // The limit, what was on its way, and what the server reads at once.
            #expect(sent < 3 << 20)
            #expect(try client.receive() == .invalid("message"))
            try client.waitUntilClosed()
            #expect(try service.connect().call(Self.echo) == .text("a"))
        }
    }

    @Test func `whatever bytes come, the server goes on`() throws {
        try TestService.run { service in
            var random = Generator(state: 0x5EED)
            for _ in 0..<500 {
                var bytes = Array(Self.echo.utf8)
                for _ in 0..<(1 + random.next() % 8) {
                    bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
                }
                let client = try service.connect()
                try client.send(bytes: bytes + [0])
                // Whatever it is, there is an answer to it.
                _ = try client.receive()
            }
            #expect(try service.connect().call(Self.echo) == .text("a"))
        }
    }

    /// The same numbers at each run (Knuth's MMIX).
    private struct Generator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
    }
}
