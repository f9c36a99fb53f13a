import Configuration
import FreezeCore
import Glibc
import Hooks
import LinuxCalls
import LinuxSystem
import SystemPackage
import Testing

@testable import Checks

/// Whether quiesce is set up so that it can work.
@Suite struct InstallationCheckTests {
    let fixture: CheckFixture

    init() throws {
        fixture = try CheckFixture()
    }

    // MARK: plan

    @Test func aPlanIsSummedUpAndItsFlawsAreNamed() {
        #expect(PlanCheck.findings(.sample).map(\.statement) == ["2 filesystems would be frozen, in 1 step."])
        let stick = MountEntry.at("/mnt/usb stick", 40, minor: 40, type: "vfat")
        let flawed = FreezePlan(
            filesystems: FreezePlan.sample.filesystems + [
                PlannedFilesystem(device: stick.device, mount: stick, action: .sync, reason: "")
            ], notes: ["/x: its device did not answer."])
        let findings = PlanCheck.findings(flawed)
        #expect(findings.verdicts == [.ok, .warning, .warning])
        #expect(findings.text.contains("/mnt/usb\\040stick can only be flushed"))
        #expect(findings.text.contains("its device did not answer"))
        #expect(PlanCheck.findings(FreezePlan(filesystems: [])).verdicts == [.error])
    }

    @Test func whyThereIsNoPlanIsTold() throws {
        let error = #expect(throws: PlanError.self) {
            try FreezePlan(filesystems: []).requireSomethingToFreeze()
        }
        fixture.planning = .failure(try #require(error))
        #expect(PlanCheck.findings(fixture.subject).verdicts == [.error])
    }

    // MARK: configuration

    @Test func aConfigurationThatIsNotAcceptedIsTheOnlyFinding() {
        let error = ConfigurationError(
            file: "/etc/q.toml", key: "freeze.timeout", line: 3, problem: "it has no unit", remedy: "Write \"10s\""
        )
        let report = CheckRun.report(on: error)
        #expect(report.isConfigurationWrong && !report.isReady)
        #expect(report.findings.map(\.statement) == ["/etc/q.toml:3: freeze.timeout: it has no unit."])
        #expect(report.findings.first?.nextStep == "Write \"10s\".")
    }

    @Test(.needsRoot(toTest: "trust in a configuration"))
    func whatOthersCanChangeIsNotTrusted() {
        // Everything in the fixture lies in /tmp, where anybody can make names.
        let findings = ConfigurationCheck.findings(fixture.subject)
        #expect(findings.verdicts == [.error])
        #expect(findings.text.contains("writable by everybody"))
    }

    // MARK: hooks

    @Test func everyRefusedHookIsNamed() throws {
        func candidate(_ name: String, refused reason: String? = nil) -> HookCandidate {
            HookCandidate(
                hook: Hook(name: name, path: FilePath("/h").appending(name), kind: .plain),
                verdict: reason.map { .refused(reason: $0) } ?? .trusted)
        }
        let candidates = [
            candidate("10-db"), candidate("20-x", refused: "/h/20-x: it is not executable"), candidate("30-y"),
        ]
        let findings = HookCheck.findings(candidates, in: "/h", onFailure: .abort)
        #expect(findings.verdicts == [.ok, .error])
        #expect(findings.text.contains("2 hooks are trusted."))
        #expect(findings.text.contains("Hook 20-x is refused. /h/20-x: it is not executable."))
        #expect(HookCheck.findings(candidates, in: "/h", onFailure: .proceed).verdicts == [.ok, .warning])
        #expect(HookCheck.findings([], in: "/h", onFailure: .abort).verdicts == [.ok])
        #expect(HookCheck.findings(fixture.subject).verdicts == [.ok])
        try fixture.write("hooks.d", "a file")
        #expect(HookCheck.findings(fixture.subject).verdicts == [.error])
    }

    @Test func `an override without a hook is a warning`() throws {
        try fixture.write("hooks.d/10-db", "#!/bin/sh", mode: 0o755)
        fixture.configuration.hooks.overrides = [
            HookOverride("10-bd", timeout: .seconds(5)), HookOverride("10-db", timeout: .seconds(5)),
        ]
        let findings = HookCheck.findings(fixture.subject).filter { $0.verdict == .warning }
        #expect(findings.map(\.statement) == ["hooks.overrides names 10-bd, and there is no such hook."])
    }

    @Test func `a refused hook that may fail is only a warning`() {
        var hook = Hook(name: "50-postgresql", path: "/h/50-postgresql", kind: .plain)
        hook.onFailure = .proceed
        let candidate = HookCandidate(
            hook: hook, verdict: .refused(reason: "/h/50-postgresql: it is not executable"))
        #expect(HookCheck.findings([candidate], in: "/h", onFailure: .abort).verdicts == [.warning])
    }

    @Test func hooksAreLookedAtWhereTheyAre() throws {
        try fixture.write("hooks.d/10-db", "#!/bin/sh", mode: 0o644)
        try fixture.write("hooks.d/20-db.session", "#!/bin/sh", mode: 0o757)
        #expect(HookCheck.findings(fixture.subject).verdicts == [.error, .error])
    }

    // MARK: directories

    @Test(
        .needs("/dev/shm in memory", toTest: "the run directory") {
            (try? FilePath("/dev/shm").isOnMemoryFilesystem()) == true
        })
    func theRunDirectoryIsPrivateAndInMemory() throws {
        let path = FilePath("/dev/shm").appending(fixture.root.lastComponent?.string ?? "quiesce-check")
        fixture.configuration.paths.run = path
        #expect(RunDirectoryCheck.findings(fixture.subject).text.contains("quiesced makes it"))
        mkdir(path.string, 0o755)
        defer { rmdir(path.string) }
        #expect(RunDirectoryCheck.findings(fixture.subject).verdicts == [.error])
        chmod(path.string, 0o700)
        #expect(RunDirectoryCheck.findings(fixture.subject).verdicts == [.ok])
        #expect(LedgerCheck.findings(fixture.subject).verdicts == [.ok])
        let damaged = path.appending("ledger.damaged")
        close(open(damaged.string, O_CREAT | O_WRONLY, 0o600))
        defer { unlink(damaged.string) }
        #expect(LedgerCheck.findings(fixture.subject).verdicts == [.ok, .warning])
        let ledger = path.appending("ledger")
        close(open(ledger.string, O_CREAT | O_WRONLY, 0o600))
        defer { unlink(ledger.string) }
        #expect(LedgerCheck.findings(fixture.subject).verdicts == [.error, .warning])
    }

    @Test func aRunDirectoryThatCannotBeMadeIsAnError() {
        fixture.configuration.paths.run = fixture.root.appending("no/such/run")
        #expect(RunDirectoryCheck.findings(fixture.subject).verdicts == [.error])
        fixture.configuration.paths.run = "/proc/quiesced"
        #expect(RunDirectoryCheck.findings(fixture.subject).verdicts == [.error])
    }

    @Test func aRequestThatWasCutShortIsTold() {
        func check(alive: Bool, _ unsettled: [FilePath], owesHooks: Bool = false) -> Finding {
            LedgerCheck.finding(
                .init(requestID: "r1", isOwnerAlive: alive, unsettled: unsettled, owesHooks: owesHooks))
        }
        #expect(check(alive: true, ["/"]).verdict == .ok)
        let session = check(alive: false, [])
        #expect(session.verdict == .warning && !session.statement.contains("hooks"))
        let owed = check(alive: false, [], owesHooks: true)
        #expect(owed.verdict == .warning && owed.statement.contains("hooks are owed their thaw"))
        let frozen = check(alive: false, ["/srv", "/"])
        #expect(frozen.verdict == .error && frozen.statement.contains("/srv, /"))
        #expect(frozen.nextStep == "Run `quiescectl recover`.")
    }

    @Test func theStateDirectoryCanBeWritten() throws {
        #expect(StateDirectoryCheck.findings(fixture.subject).text.contains("quiesced makes it"))
        try fixture.makeDirectory(fixture.configuration.paths.state)
        #expect(StateDirectoryCheck.findings(fixture.subject).verdicts == [.ok])
        fixture.configuration.paths.state = fixture.root.appending("no/such/state")
        #expect(StateDirectoryCheck.findings(fixture.subject).verdicts == [.warning])
        fixture.configuration.paths.state = try fixture.write("file", "")
        #expect(StateDirectoryCheck.findings(fixture.subject).verdicts == [.warning])
    }

    // MARK: programs

    @Test func withoutADaemonThatCanBeReachedNoBackupWorks() throws {
        let path = fixture.configuration.control.socket
        #expect(SocketCheck.findings(fixture.subject).verdicts == [.error])
        #expect(SocketCheck.findings(fixture.subject).text.contains("quiesced does not run"))
        try fixture.write("control.sock", "no socket")
        #expect(SocketCheck.findings(fixture.subject).verdicts == [.error])
        unlink(path.string)
        let listener = try Listener(path)
        fixture.service = .silent(problem: "no answer came in time")
        #expect(SocketCheck.findings(fixture.subject).verdicts == [.error])
        fixture.service = .running(channels: [], isDryRun: false)
        #expect(SocketCheck.findings(fixture.subject).map(\.statement) == ["quiesced answers on \(path)."])
        listener.close()
    }

    @Test func withoutTheSocketTheHostIsServedAllTheSame() {
        for error in [Errno.noSuchFileOrDirectory, .connectionRefused, .wouldBlock, .permissionDenied] {
            #expect(SocketCheck.finding("/s", error: error, isHostServed: true).verdict == .warning)
            #expect(SocketCheck.finding("/s", error: error, isHostServed: false).verdict == .error)
        }
    }

    @Test func beforeTheStartNothingIsSaidOfTheService() {
        fixture.service = .notStarted
        let names = CheckRun.report(on: fixture.subject).findings.map(\.check)
        #expect(!names.contains(SocketCheck.name) && !names.contains(ChannelCheck.name))
        fixture.service = .unreachable
        #expect(CheckRun.report(on: fixture.subject).findings.contains { $0.check == SocketCheck.name })
    }

    @Test func theFreezerIsFoundBesideTheProgramOrInLibexec() throws {
        fixture.executable = fixture.root.appending("usr/bin/quiescectl")
        let missing = FreezerCheck.findings(fixture.subject)
        #expect(missing.verdicts == [.error])
        #expect(missing.text.contains("/usr/libexec/quiesced/quiesce-freezer."))
        try fixture.write("usr/libexec/quiesced/quiesce-freezer", "", mode: 0o755)
        // It is found; in /tmp it cannot be trusted.
        let found = FreezerCheck.findings(fixture.subject)
        #expect(found.verdicts == [.error] && !found.text.contains("is not there"))
    }
}

/// A socket that somebody listens on.
private final class Listener {
    private let descriptor: FileDescriptor

    init(_ path: FilePath) throws {
        descriptor = try .localSocket(SOCK_STREAM)
        #expect(try LocalSocketAddress(path: path).bind(descriptor) == nil)
        try #require(listen(descriptor.rawValue, 1) == 0)
    }

    func close() { try? descriptor.close() }

    deinit { close() }
}
