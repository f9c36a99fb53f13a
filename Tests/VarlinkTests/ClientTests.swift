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

    @Test func `calls are answered, from many tasks at once`() async throws {
        try await TestService.run { service in
            let client = try await VarlinkClient.connect(to: service.path)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...100 {
                    group.addTask {
                        let answer = try await client.call(
                            "org.example.test.Echo", Echo(text: "\(number)"), returning: Echo.self)
                        #expect(answer.text == "\(number)")
                    }
                }
                try await group.waitForAll()
            }
            await client.close()
        }
    }

    @Test func `a stream of answers ends with the last`() async throws {
        try await TestService.run { service in
            let client = try await VarlinkClient.connect(to: service.path)
            var numbers: [Int] = []
            let replies = try client.callMore(
                "org.example.test.Count", TestHandler.Count(to: 5), returning: Number.self)
            for try await reply in replies { numbers.append(reply.number) }
            #expect(numbers == [1, 2, 3, 4, 5])
        }
    }

    @Test func `an error that was answered comes with its parameters`() async throws {
        try await TestService.run { service in
            let client = try await VarlinkClient.connect(to: service.path)
            let error = await failure {
                _ = try await client.call(
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
            let streamError = await failure { for try await _ in stream {} }
            #expect(streamError?.errorReply?.name == "org.varlink.service.MethodNotFound")
        }
    }

    @Test func `an answer of another form is no answer`() async throws {
        try await TestService.run { service in
            let client = try await VarlinkClient.connect(to: service.path)
            let error = await failure {
                _ = try await client.call("org.example.test.Echo", Echo(text: "a"), returning: Number.self)
            }
            #expect(error?.code == .malformedReply)
        }
    }

    @Test func `an answer that does not come in time is dropped when it comes`() async throws {
        try await TestService.run { service in
            let client = try await VarlinkClient.connect(to: service.path)
            let error = await failure {
                _ = try await client.call(
                    "org.example.test.Wait", returning: Echo.self, timeout: .milliseconds(20))
            }
            #expect(error?.code == .timedOut)
            async let next = client.call("org.example.test.Echo", Echo(text: "next"), returning: Echo.self)
            let waiting = try await blocking { [handler = service.handler] in try handler.nextWaiting() }
            waiting.reply(Echo(text: "late"))
            #expect(try await next.text == "next")
        }
    }

    @Test func `a cancelled task waits no longer`() async throws {
        try await TestService.run { service in
            let client = try await VarlinkClient.connect(to: service.path)
            let task = Task {
                await failure { _ = try await client.call("org.example.test.Wait", returning: Echo.self) }
            }
            let waiting = try await blocking { [handler = service.handler] in try handler.nextWaiting() }
            task.cancel()
            #expect(await task.value?.code == .cancelled)
            waiting.reply(Echo(text: "late"))
            #expect(
                try await client.call("org.example.test.Echo", Echo(text: "a"), returning: Echo.self).text == "a")
        }
    }

    @Test func `calls and streams are told when the server goes`() async throws {
        let service = try TestService()
        try await service.server.start()
        let client = try await VarlinkClient.connect(to: service.path)
        let stream = try client.callMore("org.example.test.Subscribe", returning: Number.self)
        let subscription = try await blocking { [handler = service.handler] in try handler.nextWaiting() }
        async let pending = failure {
            _ = try await client.call("org.example.test.Wait", returning: Echo.self)
        }
        subscription.reply(continuing: Number(number: 1))
        var iterator = stream.makeAsyncIterator()
        #expect(try await iterator.next(isolation: nil) == Number(number: 1))
        await service.server.stop()
        await client.waitUntilClosed()
        #expect(await failure { _ = try await iterator.next(isolation: nil) }?.code == .connectionLost)
        #expect(await pending?.code == .connectionLost)
        let later = await failure { _ = try await client.call("org.example.test.Wait", returning: Echo.self) }
        #expect(later?.code == .connectionLost)
    }

    @Test func `closing or letting go of a client ends its connection`() async throws {
        try await TestService.run { service in
            let client = try await VarlinkClient.connect(to: service.path)
            await client.close()
            let handler = service.handler
            #expect(try await blocking { handler.waitUntil { $0.closed == 1 } })
            _ = try await VarlinkClient.connect(to: service.path)
            #expect(try await blocking { handler.waitUntil { $0.closed == 2 } })
        }
    }

    @Test func `no process that is started meanwhile keeps the connection`() async throws {
        try await TestService.run { service in
            let client = try await VarlinkClient.connect(to: service.path)
            // Lasts until its standard input ends.
            let process = try #require(popen("read line", "w"))
            defer { pclose(process) }
            await client.close()
            let handler = service.handler
            #expect(try await blocking { handler.waitUntil { $0.closed == 1 } })
        }
    }

    @Test func `a server that cannot be reached is told apart from one that fails`() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path.appending("socket")
        #expect(await connectError(path)?.code == .notThere)
        let left = try RawListener(at: path)
        try left.descriptor.close()
        let refused = await connectError(path)
        #expect(refused?.code == .refused)
        #expect(refused?.underlyingError == .connectionRefused)
        let long = await connectError(FilePath("/tmp").appending(String(repeating: "x", count: 200)))
        #expect(long?.code == .pathTooLong)
    }

    @Test func `a full queue is waited for, but not for ever`() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path.appending("socket")
        let listener = try RawListener(at: path, backlog: 0)
        // One more than the backlog fits (net/unix/af_unix.c, unix_recvq_full).
        let first = try RawClient(path)
        let error = await failure { _ = try await VarlinkClient.connect(to: path, timeout: .milliseconds(50)) }
        #expect(error?.code == .cannotConnect)
        #expect(error?.underlyingError == .resourceTemporarilyUnavailable)
        async let second = VarlinkClient.connect(to: path, timeout: RawClient.patience)
        _ = try await blocking { try listener.accept() }
        _ = try await second
        withExtendedLifetime(first) {}
        try listener.descriptor.close()
    }

    @Test func `a user that is not served is told so`() async throws {
        try await TestService.run(servedUsers: []) { service in
            let client = try await VarlinkClient.connect(to: service.path)
            let error = await failure {
                _ = try await client.call("org.example.test.Echo", Echo(text: "a"), returning: Echo.self)
            }
            #expect(error?.code == .permissionDenied)
        }
    }

    @Test(arguments: [
        "garbage\0", "[]\0", #"{"parameters":{},"continues":1}"# + "\0", "\0", "[[[[[[[[[[[\0",
        // Two answers to one call.
        #"{"error":"a.b.C","parameters":{}}"# + "\0" + #"{"parameters":{}}"# + "\0",
    ])
    func `a server that makes no sense is left`(answer: String) async throws {
        let directory = try TemporaryDirectory()
        let listener = try RawListener(at: directory.path.appending("socket"))
        let client = try await VarlinkClient.connect(to: directory.path.appending("socket"))
        let server = try await blocking { try listener.accept() }
        async let error = failure {
            _ = try await client.call("org.example.test.Wait", returning: NoParameters.self)
        }
        _ = try await blocking { try server.nextMessage() }
        try server.send(bytes: Array(answer.utf8))
        #expect([.malformedReply, .errorReply].contains(await error?.code))
        await client.waitUntilClosed()
        let later = await failure {
            _ = try await client.call("org.example.test.Wait", returning: NoParameters.self)
        }
        #expect(later?.code == .malformedReply)
        try listener.descriptor.close()
    }

    private func connectError(_ path: FilePath) async -> VarlinkError? {
        await failure { _ = try await VarlinkClient.connect(to: path) }
    }
}

/// What the body throws.
private func failure(_ body: () async throws -> Void) async -> VarlinkError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? VarlinkError
    }
}
