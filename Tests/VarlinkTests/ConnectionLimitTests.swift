import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing
import Varlink

/// What a client can cost a server, and for how long.
struct ConnectionLimitTests {
    private static let one = #"{"method":"org.example.test.Count","parameters":{"to":1}}"#
    private static let wait = #"{"method":"org.example.test.Wait"}"#
    private static let subscribe = #"{"method":"org.example.test.Subscribe","more":true}"#
    private static let hold = #"{"method":"org.example.test.Hold","parameters":{"on":true}}"#

    @Test func `of 1000 connections that never speak the oldest make room, and none that is busy`() throws {
        let limits = VarlinkLimits()
        try TestService.run(limits: limits) { service in
            let waiting = try service.connect()
            try waiting.send(Self.wait)
            let call = try service.handler.nextWaiting()
            let subscriber = try service.connect()
            try subscriber.send(Self.subscribe)
            let subscription = try service.handler.nextWaiting()
            let holder = try service.connect()
            #expect(try holder.call(Self.hold) == .empty)

            var silent: [RawClient] = []
            for _ in 1...1000 {
                silent.append(try service.connect())
                // Three are busy: this is one more than there is room for.
                if silent.count > limits.maximumConnections - 3 { try silent.removeFirst().waitUntilClosed() }
            }
            #expect(try service.connect().call(Self.one) == .number(1))

            call.reply(TestHandler.Echo(text: "waited"))
            #expect(try waiting.receive() == .text("waited"))
            subscription.reply(continuing: TestHandler.Number(number: 1))
            #expect(try subscriber.receive() == .number(1, continues: true))
            #expect(try holder.call(Self.one) == .number(1))
        }
    }

    /// As `printf … | socat - UNIX:…` does it.
    @Test func `who sends no more still gets his answer, and nothing else`() throws {
        try TestService.run { service in
            let waiting = try service.connect()
            try waiting.send(Self.wait)
            shutdown(waiting.descriptor.rawValue, CInt(SHUT_WR))
            let call = try service.handler.nextWaiting()
            #expect(try service.connect().call(Self.one) == .number(1), "meanwhile the end has been seen")
            call.reply(TestHandler.Echo(text: "waited"))
            #expect(try waiting.receive() == .text("waited"))
            try waiting.waitUntilClosed()

            let subscriber = try service.connect()
            try subscriber.send(Self.subscribe)
            let subscription = try service.handler.nextWaiting()
            shutdown(subscriber.descriptor.rawValue, CInt(SHUT_WR))
            try subscriber.waitUntilClosed()
            withExtendedLifetime(subscription) {}

            let holder = try service.connect()
            #expect(try holder.call(Self.hold) == .empty)
            shutdown(holder.descriptor.rawValue, CInt(SHUT_WR))
            try holder.waitUntilClosed()
            #expect(service.handler.waitUntil { $0.closed == 4 })
        }
    }

    @Test func `when all connections are busy a further one is closed unheard`() throws {
        var limits = VarlinkLimits()
        limits.maximumConnections = 2
        try TestService.run(limits: limits) { service in
            let busy = [try service.connect(), try service.connect()]
            let calls = try busy.map { client in
                try client.send(Self.wait)
                return try service.handler.nextWaiting()
            }
            try service.connect().waitUntilClosed()
            #expect(service.waitForNote { if case .full = $0 { true } else { false } })
            calls[0].reply(TestHandler.Echo(text: "a"))
            #expect(try busy[0].receive() == .text("a"))
            // Answered, it is idle, and makes room.
            #expect(try service.connect().call(Self.one) == .number(1))
            try busy[0].waitUntilClosed()
            withExtendedLifetime(calls[1]) {}
        }
    }

    @Test(arguments: ["", #"{"method":"org.exa"#, one + "\0"])
    func `a connection that does nothing is closed after a while`(beginning: String) throws {
        var limits = VarlinkLimits()
        limits.idleTimeout = .milliseconds(50)
        try TestService.run(limits: limits) { service in
            let client = try service.connect()
            try client.send(bytes: Array(beginning.utf8))
            try client.waitUntilClosed()
            #expect(service.waitForNote { if case .idle = $0 { true } else { false } })
            #expect(service.handler.waitUntil { $0.closed == 1 })
        }
    }

    @Test func `a call that drips in byte by byte is waited for no longer`() throws {
        var limits = VarlinkLimits()
        limits.idleTimeout = .milliseconds(100)
        try TestService.run(limits: limits) { service in
            let client = try service.connect()
            let deadline = Moment.now + RawClient.patience
            // A byte whenever the connection has not been closed for ten milliseconds.
            while pollOne(client.descriptor, events: .readable, atMost: .milliseconds(10)).isEmpty {
                try #require(Moment.now < deadline)
                do { try client.send(bytes: [UInt8(ascii: " ")]) } catch { break }
            }
            #expect(service.waitForNote { if case .idle = $0 { true } else { false } })
        }
    }

    @Test func `a connection stays open while a call waits, a stream lasts, or it is told to`() throws {
        var limits = VarlinkLimits()
        limits.idleTimeout = .milliseconds(50)
        try TestService.run(limits: limits) { service in
            let waiting = try service.connect()
            try waiting.send(Self.wait)
            let call = try service.handler.nextWaiting()
            let subscriber = try service.connect()
            try subscriber.send(Self.subscribe)
            let subscription = try service.handler.nextWaiting()
            let holder = try service.connect()
            #expect(try holder.call(Self.hold) == .empty)

            // Each of these is idle from a later moment on than the three would be.
            for _ in 1...3 { try service.connect().waitUntilClosed() }
            call.reply(TestHandler.Echo(text: "waited"))
            #expect(try waiting.receive() == .text("waited"))
            subscription.reply(TestHandler.Number(number: 1))
            #expect(try subscriber.receive() == .number(1))
            #expect(try holder.call(Self.one) == .number(1))
            // From now on they are like all others.
            #expect(try holder.call(#"{"method":"org.example.test.Hold","parameters":{"on":false}}"#) == .empty)
            for client in [waiting, subscriber, holder] { try client.waitUntilClosed() }
        }
    }

    @Test func `a subscriber that does not read is dropped`() throws {
        var limits = VarlinkLimits()
        limits.maximumUnsent = 100_000
        try TestService.run(limits: limits) { service in
            let client = try service.connect()
            try client.send(Self.subscribe)
            let subscription = try service.handler.nextWaiting()
            let text = TestHandler.Echo(text: String(repeating: "x", count: 1000))
            let isDropped: (VarlinkServerNote) -> Bool = { if case .slowReader = $0 { true } else { false } }
            // The kernel's buffer takes some as well (net.core.wmem_default).
            var sent = 0
            while sent < 10_000, !service.notes.update({ $0.contains(where: isDropped) }) {
                subscription.reply(continuing: text)
                sent += 1
            }
            #expect(service.waitForNote(isDropped))
            #expect(service.handler.waitUntil { $0.closed == 1 })
            subscription.reply(text)
            #expect(try service.connect().call(Self.one) == .number(1))
            try client.waitUntilClosed()
        }
    }

    @Test func `a client that calls and calls and does not read is dropped`() throws {
        var limits = VarlinkLimits()
        limits.maximumUnsent = 100_000
        try TestService.run(limits: limits) { service in
            let client = try service.connect()
            let text = String(repeating: "x", count: 1000)
            let call = Array(#"{"method":"org.example.test.Echo","parameters":{"text":"\#(text)"}}"#.utf8) + [0]
            do throws(Errno) {
                for _ in 1...10_000 { try client.send(bytes: call) }
                Issue.record("all calls were taken")
            } catch {
                #expect(error == .brokenPipe || error == .connectionReset)
            }
            #expect(service.waitForNote { if case .slowReader = $0 { true } else { false } })
        }
    }

    @Test func `behind a call that waits a client cannot pile up others`() throws {
        try TestService.run { service in
            let client = try service.connect()
            try client.send(Self.wait)
            let call = try service.handler.nextWaiting()
            let oneway = Array(#"{"method":"org.example.test.Echo","oneway":true}"#.utf8) + [0]
            let many = Array(repeatElement(oneway, count: 200).joined())
            var sent = 0
            // Until there has been no room for a while.
            while !pollOne(client.descriptor, events: .writable, atMost: .milliseconds(200)).isEmpty {
                try client.send(bytes: many)
                sent += 200
                try #require(sent < 100_000)
            }
            call.reply(TestHandler.Echo(text: "waited"))
            #expect(try client.receive() == .text("waited"))
            #expect(service.handler.waitUntil { $0.handled.count == sent + 1 })
        }
    }

    @Test func `one answer may be longer than what may wait`() throws {
        var limits = VarlinkLimits()
        limits.maximumUnsent = 1000
        try TestService.run(limits: limits) { service in
            let text = String(repeating: "x", count: 900_000)
            let client = try service.connect()
            let answer = try client.call(
                #"{"method":"org.example.test.Echo","parameters":{"text":"\#(text)"}}"#)
            #expect(answer == .text(text))
        }
    }

    @Test(arguments: [
        "", #"{"method":"org.exa"#, one + "\0", wait + "\0", subscribe + "\0", hold + "\0",
        // More calls behind the one that waits.
        wait + "\0" + one + "\0" + one,
    ])
    func `that a client has gone is noticed at once, whatever it was at`(beginning: String) throws {
        try TestService.run { service in
            try service.connect().send(bytes: Array(beginning.utf8))
            #expect(service.handler.waitUntil { $0.closed == 1 })
            // An answer to nobody.
            for call in service.handler.state.update({ $0.waiting }) {
                call.reply(continuing: TestHandler.Number(number: 1))
                call.reply(NoParameters())
            }
            #expect(try service.connect().call(Self.one) == .number(1))
        }
    }
}
