import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import Hooks

/// A directory of hooks that passes the trust check (so not in /tmp), and goes with its owner.
final class HookScratch: Sendable {
    let hooks: FilePath
    let run: FilePath
    private let root: FilePath

    init() throws {
        var template = Array("/run/quiesce-hooks-XXXXXX".utf8CString)
        let created = mkdtemp(&template) != nil
        try #require(created)
        root = FilePath(platformString: template)
        hooks = root.appending("hooks.d")
        run = root.appending("run")
        #expect(mkdir(hooks.string, 0o755) == 0)
        #expect(mkdir(run.string, 0o700) == 0)
    }

    deinit {
        Self.removeTree(root)
    }

    /// Writes an executable script.
    @discardableResult
    func hook(_ name: String, _ script: String = "", mode: mode_t = 0o755) throws -> Hook {
        try file(name, "#!/bin/sh\n\(script)\n", mode: mode)
        return Hook(name: name, path: hooks.appending(name), kind: HookKind(hookName: name))
    }

    func file(_ name: String, _ content: String = "", mode: mode_t = 0o755) throws {
        let path = hooks.appending(name)
        let descriptor = try FileDescriptor.open(
            path, .writeOnly, options: [.create, .truncate, .closeOnExec], permissions: .ownerReadWriteExecute)
        try descriptor.closeAfter { _ = try descriptor.writeAll(content.utf8) }
        #expect(chmod(path.string, mode) == 0)
    }

    func link(_ name: String, to target: FilePath) {
        #expect(symlink(target.string, hooks.appending(name).string) == 0)
    }

    func directory(_ name: String, mode: mode_t = 0o755) {
        #expect(mkdir(hooks.appending(name).string, 0o755) == 0)
        #expect(chmod(hooks.appending(name).string, mode) == 0)
    }

    /// Begins a call.
    func begin(_ hook: Hook, _ context: HookContext = .freeze()) -> BegunCall {
        BegunCall(hook, context, runDirectory: run)
    }

    /// Waits for the end of a call.
    func run(_ hook: Hook, _ context: HookContext = .freeze()) async -> HookRun {
        await begin(hook, context).run()
    }

    /// Runs a script and gives what it wrote.
    func output(of script: String, _ context: HookContext = .freeze()) async throws -> String {
        let result = await run(try hook("10-script", script), context)
        #expect(result.outcome == .exited(status: 0), "\(result)")
        return result.output
    }

    private static func removeTree(_ path: FilePath) {
        if let stream = opendir(path.string) {
            while let entry = readdir(stream) {
                let bytes = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
                if bytes == [0x2e] || bytes == [0x2e, 0x2e] { continue }
                let child = (bytes + [0]).withUnsafeBytes { raw in
                    raw.bindMemory(to: CChar.self).baseAddress.map {
                        path.appending(FilePath(platformString: $0).components)
                    }
                }
                if let child, unlinkFile(child) != 0 { removeTree(child) }
            }
            closedir(stream)
        }
        _ = path.withPlatformString { rmdir($0) }
    }

    private static func unlinkFile(_ path: FilePath) -> CInt { path.withPlatformString { unlink($0) } }
}

/// A call of a hook, for tests that do other things meanwhile.
final class BegunCall: Sendable {
    private struct State {
        var process: ProcessIdentity?
        var runs: [HookRun] = []
        var session: HeldSession?
        var end: HookRun?
    }

    private let state = Monitor(State())
    private let call: HookCall?

    init(_ hook: Hook, _ context: HookContext, runDirectory: FilePath) {
        call = HookRunner(runDirectory: runDirectory).call(hook, context: context) { [state] process in
            state.update { $0.process = process }
        } sessionEnded: { [state] run in
            state.update { $0.end = run }
        } completion: { [state] run, session in
            state.update {
                $0.runs.append(run)
                $0.session = session
            }
        }
    }

    func cancel() { call?.cancel() }

    var process: ProcessIdentity? { state.update(\.process) }

    func run() async -> HookRun { await value { $0.runs.first } }

    /// The session of a hook that is ready. Kept nowhere else.
    func takeSession() async -> HeldSession? {
        _ = await run()
        return state.update { state in
            defer { state.session = nil }
            return state.session
        }
    }

    /// How a session that was held has ended.
    func sessionEnd() async -> HookRun { await value { $0.end } }

    private func value(_ find: @escaping @Sendable (State) -> HookRun?) async -> HookRun {
        let value = try? await blocking { [state] in
            while true {
                if let value = state.wait(until: nil, { find($0) }) { return value }
            }
        }
        guard let value else { fatalError("there is no thread to wait on") }
        #expect(state.update { $0.runs.count } == 1, "the completion is called exactly once")
        return value
    }
}

extension HookContext {
    static func freeze(timeout: Duration = .seconds(20), mountPoints: [FilePath] = ["/srv"]) -> HookContext {
        HookContext(
            requestID: RequestID("r-1"), channel: .hyperV, phase: .freeze, result: nil, level: .application,
            mountPoints: mountPoints, timeout: timeout)
    }

    static func thaw(_ result: Result) -> HookContext {
        HookContext(
            requestID: RequestID("r-1"), channel: .hyperV, phase: .thaw, result: result, level: nil,
            mountPoints: ["/srv"], timeout: .seconds(20))
    }
}

/// Waits until something is the case, at most ten seconds.
func eventually(_ condition: () -> Bool) async -> Bool {
    let deadline = ContinuousClock.now + .seconds(10)
    while !condition() {
        if ContinuousClock.now > deadline { return false }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return true
}
