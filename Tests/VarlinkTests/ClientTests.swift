import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing
import Varlink

/// The client, with our own server and with one that says anything.
struct ClientTests {
    private typealias Echo = TestHandler.Echo
    private typealias Number = TestHandler.Number

    @Test func `calls are answered, from many threads at once`() throws {
        try TestService.run { service in
            let client = try VarlinkClient.connect(to: service.path)
            let calls = try (1...100).map { number in
                try Background {
                    try client.call("org.example.test.Echo", Echo(text: "\(number)"), returning: Echo.self).text
                }
            }
            #expect(try calls.map { try $0.value() } == (1...100).map { "\($0)" })
            client.close()
        }
    }

    @Test func `a stream of answers ends with the last`() throws {
        try TestService.run { service in
            let client = try VarlinkClient.connect(to: service.path)
            var numbers: [Int] = []
            let replies = try client.callMore(
                "org.example.test.Count", TestHandler.Count(to: 5), returning: Number.self)
            while let reply = try replies.next() { numbers.append(reply.number) }
            #expect(numbers == [1, 2, 3, 4, 5])
        }
    }

    @Test func `an error that was answered comes with its parameters`() throws {
        try TestService.run { service in
            let client = try VarlinkClient.connect(to: service.path)
            let error = failure {
                _ = try client.call(
                    "org.example.test.Break", TestHandler.Break(reason: "glass\n"), returning: NoParameters.self)
            }
            #expect(error?.code == .errorReply)
            #expect(error?.errorReply?.name == "org.example.test.Broken")
            #expect(error?.errorReply?.parameters(as: TestHandler.Break.self)?.reason == "glass\n")
            #expect(error?.errorReply?.parameters(as: Number.self) == nil)
            #expect(
                error?.description
                    == "org.example.test.Break: the server answered org.example.test.Broken (reason: glass\\012)")
            let stream = try client.callMore("org.example.test.Nothing", returning: NoParameters.self)
            let streamError = failure { while try stream.next() != nil {} }
            #expect(streamError?.errorReply?.name == "org.varlink.service.MethodNotFound")
        }
    }

    @Test func `an answer of another form is no answer`() throws {
        try TestService.run { service in
            let client = try VarlinkClient.connect(to: service.path)
            let error = failure {
                _ = try client.call("org.example.test.Echo", Echo(text: "a"), returning: Number.self)
            }
            #expect(error?.code == .malformedReply)
        }
    }

    @Test func `an answer that does not come in time is dropped when it comes`() throws {
        try TestService.run { service in
            let client = try VarlinkClient.connect(to: service.path)
            let error = failure {
                _ = try client.call(
                    "org.example.test.Wait", returning: Echo.self, timeout: .milliseconds(20))
            }
            #expect(error?.code == .timedOut)
            let next = try Background {
                try client.call("org.example.test.Echo", Echo(text: "next"), returning: Echo.self).text
            }
            try service.handler.nextWaiting().reply(Echo(text: "late"))
            #expect(try next.value() == "next")
        }
    }

    @Test func `calls and streams are told when the server goes`() throws {
        let service = try TestService()
        try service.server.start()
        let client = try VarlinkClient.connect(to: service.path)
        let stream = try client.callMore("org.example.test.Subscribe", returning: Number.self)
        let subscription = try service.handler.nextWaiting()
        let pending = try Background {
            failure { _ = try client.call("org.example.test.Wait", returning: Echo.self) }
        }
        subscription.reply(continuing: Number(number: 1))
        #expect(try stream.next() == Number(number: 1))
        service.server.stop()
        client.waitUntilClosed()
        #expect(failure { _ = try stream.next() }?.code == .connectionLost)
        #expect(try pending.value()?.code == .connectionLost)
        let later = failure { _ = try client.call("org.example.test.Wait", returning: Echo.self) }
        #expect(later?.code == .connectionLost)
    }

    @Test func `closing or letting go of a client ends its connection`() throws {
        try TestService.run { service in
            let client = try VarlinkClient.connect(to: service.path)
            client.close()
            let handler = service.handler
            #expect(handler.waitUntil { $0.closed == 1 })
            _ = try VarlinkClient.connect(to: service.path)
            #expect(handler.waitUntil { $0.closed == 2 })
        }
    }

    @Test func `no process that is started meanwhile keeps the connection`() throws {
        try TestService.run { service in
            let client = try VarlinkClient.connect(to: service.path)
            // Lasts until its standard input ends.
            let process = try #require(popen("read line", "w"))
            defer { pclose(process) }
            client.close()
            let handler = service.handler
            #expect(handler.waitUntil { $0.closed == 1 })
        }
    }

    @Test func `a server that cannot be reached is told apart from one that fails`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path.appending("socket")
        #expect(connectError(path)?.code == .notThere)
        let left = try RawListener(at: path)
        try left.descriptor.close()
        let refused = connectError(path)
        #expect(refused?.code == .refused)
        #expect(refused?.underlyingError == .connectionRefused)
        let long = connectError(FilePath("/tmp").appending(String(repeating: "x", count: 200)))
        #expect(long?.code == .pathTooLong)
    }

    @Test func `a full queue is waited for, but not for ever`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path.appending("socket")
        let listener = try RawListener(at: path, backlog: 0)
        // One more than the backlog fits (net/unix/af_unix.c, unix_recvq_full).
        let first = try RawClient(path)
        let error = failure { _ = try VarlinkClient.connect(to: path, timeout: .milliseconds(50)) }
        #expect(error?.code == .cannotConnect)
        #expect(error?.underlyingError == .resourceTemporarilyUnavailable)
        let second = try Background { try VarlinkClient.connect(to: path, timeout: RawClient.patience) }
        _ = try listener.accept()
        _ = try second.value()
        withExtendedLifetime(first) {}
        try listener.descriptor.close()
    }

    @Test func `a user that is not served is told so`() throws {
        try TestService.run(servedUsers: []) { service in
            let client = try VarlinkClient.connect(to: service.path)
            let error = failure {
                _ = try client.call("org.example.test.Echo", Echo(text: "a"), returning: Echo.self)
            }
            #expect(error?.code == .permissionDenied)
        }
    }

    @Test(arguments: [
        "garbage\0", "[]\0", #"{"parameters":{},"continues":1}"# + "\0", "\0", "[[[[[[[[[[[\0",
        // Two answers to one call.
        #"{"error":"a.b.C","parameters":{}}"# + "\0" + #"{"parameters":{}}"# + "\0",
    ])
    func `a server that makes no sense is left`(answer: String) throws {
        let directory = try TemporaryDirectory()
        let listener = try RawListener(at: directory.path.appending("socket"))
        let client = try VarlinkClient.connect(to: directory.path.appending("socket"))
        let server = try listener.accept()
        let error = try Background {
            failure { _ = try client.call("org.example.test.Wait", returning: NoParameters.self) }
        }
        _ = try server.nextMessage()
        try server.send(bytes: Array(answer.utf8))
        #expect([.malformedReply, .errorReply].contains(try error.value()?.code))
        client.waitUntilClosed()
        let later = failure {
            _ = try client.call("org.example.test.Wait", returning: NoParameters.self)
        }
        #expect(later?.code == .malformedReply)
        try listener.descriptor.close()
    }

    private func connectError(_ path: FilePath) -> VarlinkError? {
        failure { _ = try VarlinkClient.connect(to: path) }
    }
}

/// What the body throws.
private func failure(_ body: () throws -> Void) -> VarlinkError? {
    do {
        try body()
        return nil
    } catch {
        return error as? VarlinkError
    }
}
