import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import Hooks

/// P4: a hook of the previous instance is ended before it is called for thaw.
extension RunningHooksTests {
    @Suite struct OrphanHookTests {
        private let scratch: HookScratch

        init() throws {
            scratch = try HookScratch()
        }

        /// Starts a hook that runs until it is ended, and has a child; ends it as the next instance of the daemon does.
        private func end(afterSetting trap: String) async throws -> (isGone: Bool, run: HookRun, took: Duration) {
            let pids = scratch.run.appending("pids")
            let hook = try scratch.hook(
                "10-hook", "\(trap); sleep 1000 & echo $! >\(pids).new; mv \(pids).new \(pids); wait; wait")
            let call = scratch.begin(hook)
            // The hook can be quicker than whoever is told that it was started.
            #expect(await eventually { access(pids.string, F_OK) == 0 && call.process != nil })
            let identity = try #require(call.process)
            let process = try #require(try ProcessHandle.open(identity))
            let asked = Moment.now
            let isGone = try await blocking { OrphanHook(process).end() }
            let took = Moment.now - asked
            let child = pid_t(String(decoding: try readWholeFile(pids).dropLast(), as: UTF8.self))
            #expect(try child.flatMap(ProcessRecord.read)?.isAlive != true)
            return (isGone, await call.run(), took)
        }

        @Test func `its group is told to end`() async throws {
            let (isGone, run, took) = try await end(afterSetting: ":")
            #expect(isGone)
            #expect(run.outcome == .signalled(signal: SIGTERM))
            #expect(took < HookSupervisor.grace)
        }

        @Test func `one that is deaf to that is killed`() async throws {
            let (isGone, run, took) = try await end(afterSetting: "trap '' TERM")
            #expect(isGone)
            #expect(run.outcome == .signalled(signal: SIGKILL))
            #expect(took >= HookSupervisor.grace)
        }

        @Test func `one that has ended is let alone`() async throws {
            let hook = try scratch.hook("10-hook", "read line <\(scratch.run)/gate")
            #expect(mkfifo("\(scratch.run)/gate", 0o600) == 0)
            let call = scratch.begin(hook)
            #expect(await eventually { call.process != nil })
            let identity = try #require(call.process)
            let process = try #require(try ProcessHandle.open(identity))
            let gate = try FileDescriptor.open("\(scratch.run)/gate", .writeOnly, options: [.closeOnExec])
            try gate.close()
            _ = await call.run()
            #expect(process.waitForEnd(atMost: .seconds(5)))
            #expect(OrphanHook(process).end())
        }
    }
}
