import Channels
import Foundation
import FreezeCore
import FreezerProtocol
import LinuxCalls
import SystemPackage
import Testing

/// A daemon, hooks, and filesystems on two steps, that one request after another is cut short in.
final class KillScene {
    /// No window is longer, and nobody stands still shorter.
    static let window = Duration.seconds(3)
    private static let hook = "echo \"$(basename $0) $1${QUIESCE_RESULT:+ $QUIESCE_RESULT}\" >> $TRACE"

    private static let session = """
        echo "$(basename $0) session" >> $TRACE
        echo READY
        cat > /dev/null
        echo "$(basename $0) released" >> $TRACE
        """

    let rig: DaemonRig
    private let host: any BackupHost
    private let filesystems: [ScratchFilesystem]
    private let neighbours: Neighbours
    /// What is open when a request is over.
    private let openFiles: (daemon: [String], freezer: [String])

    /// - Parameter agentPort: `.none` for Hyper-V.
    init(agentPort: DaemonRig.AgentPortLife = .none) throws {
        let outer = try ScratchFilesystem(.ext4, mebibytes: 256)
        // Level 0 has three: the inner one, one beside it, and the world's root.
        filesystems = [
            try ScratchFilesystem(.ext4, on: .image(in: outer.mountPoint)), try ScratchFilesystem(.ext4), outer,
        ]
        rig = try DaemonRig(
            configuration: ["freeze": "timeout = \"2s\"\nmax_window = \"\(Self.window.components.seconds)s\""],
            hooks: ["10-first": Self.hook, "20-second": Self.hook, "30-third.session": Self.session],
            agentPort: agentPort, hasStopPoints: true)
        host = try rig.host(agentPort == .none ? .hyperV : .qemu)
        try rig.expectHealthy(freezing: filesystems.map(\.mountPoint))
        let freezer = try CrashScene.freezer(rig).identity.processID
        _ = try ProcessStatus.settled(of: rig.daemon.processIdentifier)
        openFiles = (
            try ProcessStatus.openFiles(of: rig.daemon.processIdentifier), try ProcessStatus.openFiles(of: freezer)
        )
        neighbours = try Neighbours(besides: [rig.daemon.processIdentifier, freezer])
    }

    private var mountPoints: [FilePath] { filesystems.map(\.mountPoint) + ["/"] }

    func remove() throws {
        #expect(try rig.stop() == .exited(0))
        for filesystem in filesystems { try filesystem.remove() }
    }

    // MARK: A request, cut short

    /// Plays one case: a request that comes to the place, what is done to it there, and all that has to hold afterwards.
    func play(_ injury: KillInjury, at place: KillPlace) throws {
        try RunningProgram.output(of: "truncate", ["--size", "0", rig.trace.string])
        if place.operation == .thaw {
            let answer = try host.freeze()
            #expect(answer.isSuccess, "\(answer), log: \(rig.log)")
        }
        try rig.arm(place.point)
        let freezer = try CrashScene.freezer(rig)
        let isFreeze = place.operation == .freeze
        let answer = PendingAnswer { [host] in try isFreeze ? host.freeze() : host.thaw() }
        let stopped = place.stopped == .daemon ? rig.daemon.processIdentifier : freezer.identity.processID
        try rig.waitForStop(of: stopped, at: place.point)
        let ledger = try RunDirectory(rig.runDirectory, creating: false).openLedger()

        let took = try hurt(injury, at: place, freezer: freezer, ledger: ledger)
        print("MEASURED: thawed after \(Int(took.milliseconds.rounded())) ms: \(injury), \(place)")
        let isAnsweredLater = injury.endsDaemon && host.isAnsweredByNextDaemon
        let early = isAnsweredLater ? nil : try answer.value(within: .seconds(30))
        // A freezer that dies before there is anything to freeze is replaced, and the request goes on.
        let isWhole =
            injury == .killsFreezer && !place.isInWindow && early?.isSuccess == true && place.operation == .freeze
        for mountPoint in mountPoints { #expect(try FreezeProof.isFrozen(mountPoint) == isWhole, "\(mountPoint)") }

        // The outcome is written after the answer to a good THAW.
        let hasOutcome = ledger.map { $0.outcome != nil }
        if injury.endsDaemon { try startAgain(injury) }
        let given = try answer.value(within: .seconds(30))
        expectNoFalseFreeze(given, injury, place)
        if host is AgentHost {
            try expectTruthAtPort(given, isWhole: isWhole, injury, place, hasOutcome: hasOutcome)
        } else {
            try expectTruth(given, isWhole: isWhole, injury, place)
        }
        try rig.waitUntilReleased()
        try expectHooksThawed(exactlyOnce: !injury.endsDaemon || injury == .terminates || injury == .hangsUp)
        try expectGoodBackup()
        try expectNothingLeft()
        // A daemon whose freezer keeps dying young waits longer and longer before it starts the next one.
        if !injury.endsDaemon {
            #expect(try rig.stop() == .exited(0))
            try rig.start()
        }
    }

    /// - Returns: How long it took, from the moment at which somebody could thaw, until nothing was frozen any more.
    private func hurt(
        _ injury: KillInjury, at place: KillPlace, freezer: ProcessHandle, ledger: Ledger?
    ) throws -> Duration {
        let daemon = rig.daemon
        func goOn() throws {
            if place.stopped == .daemon { daemon.send(SIGCONT) } else { try freezer.send(signal: SIGCONT) }
        }
        let started = Moment.now
        switch injury {
        case .killsDaemon:
            daemon.send(SIGKILL)
            if place.stopped == .freezer { try goOn() }
            // Nobody else is there to do it.
            #expect(freezer.waitForEnd(atMost: .seconds(10)), "the freezer lives on")
            let took = Moment.now - started
            #expect(try daemon.waitForExit() == .killed(signal: SIGKILL))
            if let ledger { #expect(ledger.unsettled.isEmpty) }
            return took
        case .killsFreezer:
            try freezer.send(signal: SIGKILL)
            #expect(freezer.waitForEnd(atMost: .seconds(10)), "the freezer lives on")
            if place.stopped == .daemon { try goOn() }
        case .killsBoth:
            try rig.killBoth()
            // What systemd does then is measured.
            let asked = Moment.now
            try recover()
            return Moment.now - asked
        case .terminates, .hangsUp:
            daemon.send(injury == .terminates ? SIGTERM : SIGHUP)
            try goOn()
            if let ledger { try CrashScene.waitForThaw(of: ledger, since: started, within: .seconds(10)) }
            let took = Moment.now - started
            let ending = try daemon.waitForExit(within: .seconds(20))
            #expect(ending == .exited(0), "\(rig.log)")
            #expect(freezer.waitForEnd(atMost: .seconds(10)), "the freezer lives on")
            return took
        case .standsStill:
            // The time is the point of it. Whoever is left has to thaw meanwhile.
            _ = pollDescriptors([], until: started + Self.window)
            if let ledger { try CrashScene.waitForThaw(of: ledger, since: .now, within: .seconds(10)) }
            if place.stopped == .daemon || !freezer.hasEnded { try? goOn() }
            return Moment.now - started
        }
        if let ledger { try CrashScene.waitForThaw(of: ledger, since: started, within: .seconds(10)) }
        return Moment.now - started
    }

    private func recover() throws {
        let recovery = try rig.control("recover")
        #expect(recovery.ending == .exited(0), "\(recovery.output) \(recovery.errors)")
    }

    /// As systemd does: ExecStopPost, then the next instance.
    private func startAgain(_ injury: KillInjury) throws {
        if injury != .killsBoth { try recover() }
        try rig.start()
    }

    // MARK: What has to hold

    /// P2: no success of what was not whole.
    private func expectNoFalseFreeze(_ answer: BackupAnswer, _ injury: KillInjury, _ place: KillPlace) {
        let wasKilled = injury == .killsDaemon || injury == .killsBoth
        if wasKilled, place.stopped == .daemon, place.point != "in frozen", place.operation == .freeze {
            #expect(!answer.isSuccess, "FREEZE is told success")
        }
    }

    /// P3.
    private func expectTruth(
        _ answer: BackupAnswer, isWhole: Bool, _ injury: KillInjury, _ place: KillPlace
    ) throws {
        #expect(rig.host.waitForRegistration(until: .now + .seconds(15)))
        let thaw = try rig.thaw()
        // To a FREEZE that this very process has answered with failure a THAW is harmless. Any other ends nothing.
        let isHarmless = place.operation == .freeze && answer.isFailure && !injury.endsDaemon
        #expect(
            thaw.status == (isHarmless || isWhole ? .success : .failure), "THAW after \(answer); log: \(rig.log)")
    }

    /// P3 at the guest agent port: a lost window is the answer to one thaw, also to the next daemon's, and a failed freeze
    /// to none.
    ///
    /// - Parameter hasOutcome: Of the ledger of the dead daemon; nil without a ledger.
    private func expectTruthAtPort(
        _ answer: BackupAnswer, isWhole: Bool, _ injury: KillInjury, _ place: KillPlace, hasOutcome: Bool?
    ) throws {
        let isFreeze = place.operation == .freeze
        if host.isAnsweredByNextDaemon { #expect(answer != .lost) }
        let thaw = try host.thaw()
        let isLost: Bool? =
            switch injury {
            // Every request that is cut short counts as lost: the next daemon does not know the answers.
            case .killsDaemon, .killsBoth: hasOutcome == false
            case .terminates, .hangsUp, .killsFreezer: isFreeze && answer.isSuccess && !isWhole
            // The failure can be an answer that came after the window, which is lost then.
            case .standsStill: isFreeze ? (answer.isSuccess ? true : nil) : false
            }
        if let isLost { #expect(thaw.isFailure == isLost, "thaw after \(answer): \(thaw); log: \(rig.log)") }
        if !thaw.isFailure {
            #expect(thaw == .success(filesystems: isWhole ? KillPlace.superblocks : 0), "after \(answer)")
        }
        #expect(try host.thaw() == .success(filesystems: 0), "the second thaw after \(answer)")
    }

    /// P4: the last that each hook was called with is its thaw, and the first to be frozen is the last to be thawed.
    private func expectHooksThawed(exactlyOnce: Bool) throws {
        let calls = try rig.traced().map { $0.split(separator: " ") }
        for hook in ["10-first", "20-second"] {
            let phases = calls.filter { $0.first == hook[...] }.map { $0[1] }
            guard phases.contains("freeze") else { continue }
            #expect(phases.last == "thaw", "\(hook): \(phases)")
            if exactlyOnce { #expect(phases == ["freeze", "thaw"], "\(hook)") }
        }
        let session = calls.filter { $0.first == "30-third.session" }.map { $0[1] }
        #expect(session.isEmpty || session == ["session", "released"], "\(session)")
        if let last = calls.last { #expect(last.first == "10-first" || calls.count == 1, "\(calls)") }
    }

    private func expectGoodBackup() throws {
        let answer = try host.freeze()
        #expect(answer.isSuccess, "\(answer), log: \(rig.log)")
        for mountPoint in mountPoints { #expect(try FreezeProof.isFrozen(mountPoint), "\(mountPoint)") }
        let thaw = try host.thaw()
        #expect(thaw.isSuccess && thaw != .success(filesystems: 0), "\(thaw)")
        try rig.waitUntilReleased()
    }

    private func expectNothingLeft() throws {
        let daemon = rig.daemon.processIdentifier
        let freezer = try CrashScene.freezer(rig).identity.processID
        for (process, before) in [(daemon, openFiles.daemon), (freezer, openFiles.freezer)] {
            let deadline = ContinuousClock.now + .seconds(5)
            var now = try ProcessStatus.openFiles(of: process)
            while now != before, ContinuousClock.now < deadline {
                usleep(5_000)
                now = try ProcessStatus.openFiles(of: process)
            }
            #expect(now == before)
        }
        #expect(try ProcessStatus.waitForThreads(1, of: freezer))
        try neighbours.expectUnchanged(besides: [daemon, freezer])
        var files = Set(try FileManager.default.contentsOfDirectory(atPath: rig.runDirectory.string))
        if host is AgentHost {
            // The file of lost windows is written with the first loss.
            files.remove("lost")
            #expect(files.remove("unanswered") != nil)
            try wait(for: "the end of the unanswered requests") {
                try readWholeFile(rig.runDirectory.appending("unanswered")) == Array("\n".utf8)
            }
        }
        #expect(files == ["control.sock", "lock"])
    }
}

/// What else is in the world: it must be the same before and after.
private struct Neighbours {
    private let processes: Set<pid_t>
    private let loops: String
    private let mounts: String

    init(besides own: [pid_t]) throws {
        processes = try Self.living().subtracting(own)
        loops = try Self.loops()
        mounts = try Self.mounts()
    }

    func expectUnchanged(besides own: [pid_t]) throws {
        // An orphan is reaped a moment after its end.
        try wait(for: "the end of other processes") {
            try Self.living().subtracting(own).subtracting(processes).isEmpty
        }
        let (loopsNow, mountsNow) = (try Self.loops(), try Self.mounts())
        #expect(loopsNow == loops)
        #expect(mountsNow == mounts)
    }

    private static func living() throws -> Set<pid_t> {
        let names = try FileManager.default.contentsOfDirectory(atPath: "/proc")
        return Set(try names.compactMap { pid_t($0) }.filter { try ProcessRecord.read($0)?.isAlive == true })
    }

    private static func loops() throws -> String {
        // All of the machine's are listed: another world's are not ours, nor is the width of their columns.
        let devices = Set(try mounts().split(separator: "\n").map { $0.split(separator: " ")[2] })
        let list = try RunningProgram.output(
            of: "losetup", ["--list", "--noheadings", "--output", "BACK-MAJ:MIN,NAME,BACK-FILE"])
        return list.split(separator: "\n").map { $0.split(separator: " ") }.filter { devices.contains($0[0]) }
            .map { $0.joined(separator: " ") }.joined(separator: "\n")
    }

    private static func mounts() throws -> String {
        try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
    }
}
