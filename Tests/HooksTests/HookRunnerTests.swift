import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import Hooks

/// The tests that run hooks, one after the other: a script that is open for writing cannot be executed (ETXTBSY),
/// and a process started meanwhile by another test holds it open for an instant.
@Suite(.serialized, .timeLimit(.minutes(2)), .needsRoot(toTest: "the running of hooks"))
enum RunningHooksTests {}

extension RunningHooksTests {
    @Suite struct HookRunnerTests {
        private let scratch: HookScratch

        init() throws {
            scratch = try HookScratch()
        }

        struct Ending: Sendable, CustomTestStringConvertible {
            let script: String
            let outcome: HookOutcome
            var timeout = Duration.seconds(20)
            /// The call takes at least and at most this long.
            var least = Duration.zero
            var most = Duration.seconds(10)
            var testDescription: String { script }
        }

        @Test(arguments: [
            Ending(script: "exit 0", outcome: .exited(status: 0)),
            Ending(script: "exit 1", outcome: .exited(status: 1)),
            Ending(script: "exit 200", outcome: .exited(status: 200)),
            Ending(script: "kill -KILL $$", outcome: .signalled(signal: SIGKILL)),
            Ending(script: "kill -TERM $$", outcome: .signalled(signal: SIGTERM)),
            Ending(
                script: "exec sleep 1000", outcome: .timedOut(abandoned: false), timeout: .milliseconds(300),
                least: .milliseconds(300), most: .milliseconds(2200)),
            // The shell and what it waits for.
            Ending(
                script: "sleep 1000; true", outcome: .timedOut(abandoned: false), timeout: .milliseconds(300),
                least: .milliseconds(300), most: .milliseconds(2200)),
            // What ends at TERM in good order has run out of time all the same.
            Ending(
                script: "trap 'exit 0' TERM; while :; do sleep 1000; done", outcome: .timedOut(abandoned: false),
                timeout: .milliseconds(300), least: .milliseconds(300), most: .milliseconds(2200)),
            Ending(
                script: "trap '' TERM; while :; do sleep 1000; done", outcome: .timedOut(abandoned: false),
                timeout: .milliseconds(300), least: .milliseconds(2300), most: .milliseconds(4200)),
            // The hook goes at TERM, its child does not.
            Ending(
                script: "(trap '' TERM; while :; do sleep 1000; done) & wait",
                outcome: .timedOut(abandoned: false),
                timeout: .milliseconds(300), least: .milliseconds(2300), most: .milliseconds(4200)),
            // Writing without end does not postpone the end.
            Ending(
                script: "exec yes", outcome: .timedOut(abandoned: false), timeout: .milliseconds(300),
                least: .milliseconds(300), most: .milliseconds(2200)),
        ])
        func `a call is over when the hook has exited or its time is up`(_ ending: Ending) async throws {
            let hook = try scratch.hook("10-hook", ending.script)
            let begin = ContinuousClock.now
            let run = await scratch.run(hook, .freeze(timeout: ending.timeout))
            let took = ContinuousClock.now - begin
            #expect(run.outcome == ending.outcome)
            #expect(run.name == "10-hook")
            #expect(run.phase == .freeze)
            #expect(took >= ending.least && took <= ending.most, "\(took)")
            #expect(run.duration <= took)
        }

        @Test(arguments: [
            "setsid sleep 1000 & echo $!", "sleep 1000 & echo $!", "(trap '' HUP; exec yes) & echo $! >&3",
        ])
        func `a child left behind delays nothing and is left alone`(command: String) async throws {
            // The third writes without end: its id goes to a file instead.
            let file = scratch.run.appending("pid")
            let run = await scratch.run(try scratch.hook("10-hook", "exec 3>\(file)\n\(command)\nexit 0"))
            #expect(run.outcome == .exited(status: 0))
            #expect(run.duration < .seconds(5))
            let recorded = command.hasSuffix(">&3") ? try text(of: file) : run.output
            let child = try #require(pid_t(recorded.filter(\.isWholeNumber)))
            if command.contains("yes") {
                // Nobody reads its pipe any more.
                #expect(
                    await eventually { !ProcessGroup(leader: getpgid(child)).hasLivingMembers || isGone(child) })
            } else {
                #expect(kill(child, 0) == 0)
                kill(child, SIGKILL)
            }
        }

        private func isGone(_ process: pid_t) -> Bool {
            guard let status = try? text(of: FilePath("/proc/\(process)/stat")) else { return true }
            return status.contains(") Z")
        }

        private func text(of file: FilePath) throws -> String {
            let descriptor = try FileDescriptor.open(file, .readOnly)
            return try descriptor.closeAfter {
                let bytes = try [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
                    count = try descriptor.read(into: UnsafeMutableRawBufferPointer(buffer))
                }
                return String(decoding: bytes, as: UTF8.self)
            }
        }

        @Test func `both output streams are captured in order`() async throws {
            #expect(
                try await scratch.output(of: "echo a; echo b >&2; echo c; printf '\\377'") == "a\nb\nc\n\u{FFFD}")
        }

        @Test func `a flood of output is capped and does not block the hook`() async throws {
            let run = await scratch.run(
                try scratch.hook("10-hook", "head -c 100000000 /dev/zero | tr '\\0' x; echo end >&2"))
            #expect(run.outcome == .exited(status: 0))
            #expect(run.isOutputTruncated)
            #expect(run.output == String(repeating: "x", count: 64 << 10))
        }

        @Test func `output of exactly the limit is not truncated`() async throws {
            let run = await scratch.run(try scratch.hook("10-hook", "head -c 65536 /dev/zero | tr '\\0' x"))
            #expect(!run.isOutputTruncated)
            #expect(run.output.utf8.count == 65_536)
        }

        @Test func `a hook that was ended keeps what it wrote`() async throws {
            let hook = try scratch.hook("10-hook", "echo before; exec sleep 1000")
            let run = await scratch.run(hook, .freeze(timeout: .milliseconds(500)))
            #expect(run.outcome == .timedOut(abandoned: false))
            #expect(run.output == "before\n")
        }

        // MARK: Not started

        @Test func `what may not be run is not started`() async throws {
            let hook = try scratch.hook("10-hook", "echo run")
            #expect(chmod(hook.path.string, 0o777) == 0)
            let run = await scratch.run(hook)
            guard case .notStarted(let reason) = run.outcome else {
                Issue.record("\(run)")
                return
            }
            #expect(reason.contains("chmod go-w"))
            #expect(run.output == "")
        }

        @Test(arguments: [
            ("echo no interpreter", "10-a", "#!/bin/sh"), ("#!/no/such/interpreter\n", "10-a", "interpreter"),
        ])
        func `what cannot be run is not started`(content: String, name: String, words: String) async throws {
            try scratch.file(name, content)
            let run = await scratch.run(
                Hook(name: name, path: scratch.hooks.appending(name), kind: .plain))
            guard case .notStarted(let reason) = run.outcome else {
                Issue.record("\(run)")
                return
            }
            #expect(reason.contains(words), "\(reason)")
        }

        @Test func `the remedy for DOS line endings makes the hook run`() async throws {
            try scratch.file("10-dos", "#!/bin/sh\r\necho done\r\n")
            let hook = HookDirectory(scratch.hooks).hook(named: "10-dos")
            guard case .notStarted(let refused) = await scratch.run(hook).outcome else {
                Issue.record("started")
                return
            }
            let command = try #require(refused.firstMatch(of: /Run: (.*)/)?.1)
            #expect(try await scratch.output(of: String(command)) == "")
            let run = await scratch.run(hook)
            #expect(run.outcome == .exited(status: 0) && run.output == "done\n", "\(run)")
        }

        @Test func `a hook for which no time is left is not started`() async throws {
            let run = await scratch.run(try scratch.hook("10-hook", "echo run"), .freeze(timeout: .zero))
            guard case .notStarted(let reason) = run.outcome else {
                Issue.record("\(run)")
                return
            }
            #expect(reason.contains("hooks.total_timeout"))
        }

        @Test func `no descriptor stays open`() async throws {
            let good = try scratch.hook("10-good", "exit 0")
            try scratch.file("20-bad", "no interpreter")
            let bad = Hook(name: "20-bad", path: scratch.hooks.appending("20-bad"), kind: .plain)
            func count() -> Int { (0..<1024).count { fcntl($0, F_GETFD) >= 0 } }
            let before = count()
            for _ in 0..<20 {
                _ = await scratch.run(good)
                _ = await scratch.run(bad)
            }
            // Others of this process may open some meanwhile, but not as many as forty calls would leave.
            #expect(await eventually { count() < before + 20 }, "\(before) before, \(count()) after")
        }

        // MARK: Cancelling

        @Test(arguments: [
            ("", HookOutcome.signalled(signal: SIGTERM)), ("trap '' TERM", .signalled(signal: SIGKILL)),
            ("trap 'exit 7' TERM", .exited(status: 7)),
        ])
        func `a cancelled call ends its hook`(trap: String, outcome: HookOutcome) async throws {
            let started = scratch.run.appending("started")
            // A shell heeds a trap at once only while it waits.
            let hook = try scratch.hook("10-hook", "\(trap)\nsleep 1000 &\n: >\(started)\nwait")
            let call = scratch.begin(hook)
            #expect(await eventually { access(started.string, F_OK) == 0 })
            let begin = ContinuousClock.now
            call.cancel()
            let run = await call.run()
            #expect(run.outcome == outcome)
            // How it ended tells whether TERM was enough; the hook would have run for a quarter of an hour.
            #expect(ContinuousClock.now - begin < .seconds(30))
        }

        /// What a call that is performed on this thread reports.
        private func perform(
            _ hook: Hook, _ context: HookContext, called: Moment = .now, isCancelled: Bool = false
        ) async throws -> HookRun {
            let runs = Monitor<[HookRun]>([])
            let call = try HookCall(
                hook, context, runDirectory: scratch.run, called: called, onStart: { _ in },
                completion: { run, _ in runs.update { $0.append(run) } }, sessionEnded: { _ in })
            if isCancelled { call.cancel() }
            try await blocking { call.perform() }
            #expect(runs.update(\.count) == 1)
            return try #require(runs.update(\.first))
        }

        @Test func `a call that was cancelled before is not started`() async throws {
            let hook = try scratch.hook("10-hook", ": >\(scratch.run)/ran")
            let run = try await perform(hook, .freeze(), isCancelled: true)
            #expect(run.outcome == .notStarted(reason: "cancelled before it was started"))
            #expect(access("\(scratch.run)/ran", F_OK) != 0)
        }

        @Test func `a call that could not begin in time is not begun late`() async throws {
            let hook = try scratch.hook("10-hook", ": >\(scratch.run)/ran")
            // As if there had been no processor for it for a while.
            let run = try await perform(hook, .freeze(timeout: .seconds(1)), called: Moment.now + .seconds(-10))
            guard case .notStarted(let reason) = run.outcome else {
                Issue.record("started")
                return
            }
            #expect(reason.contains("time was up"))
            #expect(access("\(scratch.run)/ran", F_OK) != 0)
        }

        @Test func `what survives KILL is abandoned in bounded time`() async throws {
            // Nothing answers to this group, and nothing ever says that it exited: as a hook that hangs in the kernel.
            let pipe = try OutputPipe()
            let never = try WakeUp()
            let supervisor = HookSupervisor(
                group: ProcessGroup(leader: pid_t.max), processDescriptor: never.descriptor, output: pipe.readEnd,
                cancellation: try WakeUp(), deadline: Moment.now)
            _ = try pipe.writeEnd.writeAll("last words".utf8)
            let observation = try await blocking { supervisor.watch() }
            try pipe.writeEnd.close()
            #expect(observation.isAbandoned)
            #expect(observation.output.text == "last words")
        }
    }
}
