import FreezeCore
import Glibc
import SystemPackage
import Testing

@testable import Hooks

extension RunningHooksTests {
    /// Session hooks: real programs that hold something over the window.
    @Suite struct SessionHookTests {
        private let scratch: HookScratch

        init() throws {
            scratch = try HookScratch()
        }

        /// Says READY, waits for the end of its input, and goes on.
        private static func script(before: String = "", after: String = "") -> String {
            "\(before)\necho READY\ncat >/dev/null\n\(after)"
        }

        /// Returns when the hook is ready, or has failed.
        private func start(
            _ script: String, timeout: Duration = .seconds(20)
        ) async throws -> (run: HookRun, session: HeldSession?, call: BegunCall) {
            let call = scratch.begin(try scratch.hook("10-db.session", script), .freeze(timeout: timeout))
            return (await call.run(), await call.takeSession(), call)
        }

        @Test func `it is started once with session, and ends well when its input does`() async throws {
            let before = "echo called $# $1 $QUIESCE_PHASE; echo to stderr >&2"
            let (run, session, call) = try await start(Self.script(before: before, after: "echo released"))
            #expect(run.outcome == .ready && run.phase == .freeze)
            #expect(run.output == "called 1 session session\nto stderr\nREADY\n")
            let held = try #require(session)
            held.release(within: .seconds(20))
            let end = await call.sessionEnd()
            #expect(end.outcome == .exited(status: 0) && end.phase == .thaw)
            #expect(end.output == "released\n")
        }

        @Test func `it is held without a limit, long past its timeout`() async throws {
            let (run, session, call) = try await start(Self.script(), timeout: .seconds(2))
            #expect(run.outcome == .ready)
            let held = try #require(session)
            // Another one's timeout, begun later and longer, tells that its own has passed.
            let other = try scratch.hook("20-other", "exec sleep 1000")
            let late = await scratch.run(other, .freeze(timeout: .seconds(3)))
            #expect(late.outcome == .timedOut(abandoned: false))
            held.release(within: .seconds(20))
            #expect(await call.sessionEnd().outcome == .exited(status: 0))
        }

        @Test func `who drops a session releases it`() async throws {
            let done = scratch.run.appending("done").string
            var (_, session, _) = try await start(Self.script(after: ": >\(done)"))
            #expect(session != nil)
            session = nil
            #expect(await eventually { access(done, F_OK) == 0 })
        }

        @Test func `READY counts on a line of its own only`() async throws {
            let words = "echo NOT READY; echo READYING; printf 'READY '; echo; printf READ; sleep 0.05; echo Y"
            let (run, session, _) = try await start("\(words)\ncat >/dev/null")
            #expect(run.outcome == .ready)
            #expect(run.output.hasSuffix("READY \nREADY\n"))
            try #require(session).release(within: .seconds(20))
        }

        static let failures: [(String, HookOutcome)] = [
            ("echo no lock; exit 0", .neverReady(timedOut: false)),
            ("echo no lock; exit 3", .exited(status: 3)),
            ("kill -SEGV $$", .signalled(signal: SIGSEGV)),
            ("exec sleep 1000", .neverReady(timedOut: true)),
            ("trap '' TERM; while :; do sleep 1000; done", .neverReady(timedOut: true)),
            // Too late.
            ("trap 'echo READY; cat >/dev/null' TERM; sleep 1000 & wait", .neverReady(timedOut: true)),
        ]

        @Test(arguments: failures)
        func `one that is not ready in time has failed`(script: String, outcome: HookOutcome) async throws {
            let hangs = outcome == .neverReady(timedOut: true)
            let (run, session, _) = try await start(script, timeout: hangs ? .seconds(2) : .seconds(20))
            #expect(run.outcome == outcome)
            #expect(session == nil)
            #expect(run.outcome.failureClause != nil)
        }

        @Test(arguments: [
            ("echo READY; exit 0", HookOutcome.exited(status: 0)), ("echo READY; exit 3", .exited(status: 3)),
            ("echo READY; kill -SEGV $$", .signalled(signal: SIGSEGV)),
        ])
        func `one that ends too early tells so at once`(script: String, outcome: HookOutcome) async throws {
            let (run, session, call) = try await start(script)
            #expect(run.outcome == .ready)
            #expect(session != nil)
            let end = await call.sessionEnd()
            #expect(end.outcome == outcome)
            // Nobody released it.
            withExtendedLifetime(session) { #expect(end.duration == .zero) }
        }

        @Test(arguments: [
            ("exit 4", HookOutcome.exited(status: 4)), ("sleep 1000", .timedOut(abandoned: false)),
            ("trap '' TERM; while :; do sleep 1000; done", .timedOut(abandoned: false)),
        ])
        func `one that does not let go well tells so`(after: String, outcome: HookOutcome) async throws {
            let (_, session, call) = try await start(Self.script(after: "echo cannot unlock\n\(after)"))
            let held = try #require(session)
            held.release(within: .milliseconds(500))
            let end = await call.sessionEnd()
            #expect(end.outcome == outcome)
            #expect(end.output == "cannot unlock\n")
        }

        @Test func `its flood of output neither blocks it nor fills memory`() async throws {
            let flood = "head -c 100000000 /dev/zero | tr '\\0' x; echo"
            let (run, session, call) = try await start(Self.script(before: flood, after: flood))
            #expect(run.outcome == .ready && run.isOutputTruncated)
            let held = try #require(session)
            held.release(within: .seconds(60))
            let end = await call.sessionEnd()
            #expect(end.outcome == .exited(status: 0) && end.isOutputTruncated)
            #expect(end.output.utf8.count <= CapturedOutput.limit)
        }

        @Test func `a cancelled start ends it`() async throws {
            let started = scratch.run.appending("started").string
            let hook = try scratch.hook("10-db.session", ": >\(started)\nsleep 1000 &\nwait")
            let call = scratch.begin(hook)
            #expect(await eventually { access(started, F_OK) == 0 })
            call.cancel()
            let (run, session) = (await call.run(), await call.takeSession())
            #expect(run.outcome == .signalled(signal: SIGTERM))
            #expect(session == nil)
        }

        @Test func `no other hook keeps its input open`() async throws {
            let (_, session, call) = try await start(Self.script())
            let held = try #require(session)
            let child = scratch.run.appending("child").string
            let other = try scratch.hook("20-other", "sleep 1000 >/dev/null 2>&1 & echo $! >\(child)")
            #expect(await scratch.run(other).outcome == .exited(status: 0))
            held.release(within: .seconds(20))
            #expect(await call.sessionEnd().outcome == .exited(status: 0))
            let file = try #require(fopen(child, "r"))
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 32)
            fgets(&line, 32, file)
            kill(atoi(line), SIGKILL)
        }
    }
}

@Suite struct StateLinesTests {
    @Test(arguments: [
        (["READY\n"], true), (["x\nREADY\ny"], true), (["REA", "DY", "\n"], true), (["READY"], false),
        (["READY \n"], false), ([" READY\n"], false), (["READYREADY\n"], false), (["READ\nY\n"], false),
        (["READY\r\n"], false), (["", "\n\n", "READY\n"], true),
    ])
    func `READY may come in pieces`(pieces: [String], isSeen: Bool) {
        var lines = StateLines()
        for piece in pieces { lines.scan(Array(piece.utf8)) }
        #expect(lines.saysReady == isSeen)
    }

    @Test(
        arguments: [
            (["SKIP\n"], ""), (["SKIP"], ""), (["x\nSKIP none runs\ny"], "none runs"),
            (["SK", "IP no", "ne\n"], "none"),
            (["SKIP a\nSKIP b\n"], "a"), (["SKIPPED\n"], nil), ([" SKIP\n"], nil), (["skip\n"], nil),
            (["NOSKIP\n"], nil),
            (["SKIP \u{7}x\n"], "\u{7}x"), (["READY\nSKIP\n"], ""), (["SKIP\tx\n"], nil), ([""], nil),
            (["SKIP " + String(repeating: "x", count: 5000) + "\n"], String(repeating: "x", count: 256)),
        ] as [([String], String?)])
    func `SKIP may have a reason`(pieces: [String], reason: String?) {
        var lines = StateLines()
        for piece in pieces { lines.scan(Array(piece.utf8)) }
        #expect(lines.skipReason == reason)
    }
}
