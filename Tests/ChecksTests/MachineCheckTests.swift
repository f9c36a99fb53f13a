import Configuration
import FreezeCore
import SystemPackage
import Testing

@testable import Checks

/// What does not go well with freezing, on machines made of directories.
@Suite struct MachineCheckTests {
    let fixture: CheckFixture

    init() throws {
        fixture = try CheckFixture()
    }

    // MARK: fanotify

    @Test(arguments: [
        ("fanotify mnt_id:1c mflags:0 mask:10000 ignored_mask:0 ", "/srv"),
        ("fanotify sdev:fe00013 mflags:0 mask:20000 ignored_mask:0 ", "/srv"),
        ("fanotify ino:f7a387 sdev:fe00000 mflags:0 mask:40001 ignored_mask:0 fhandle-bytes:8 f_handle:87a3", "/"),
        ("fanotify mnt_id:999 mflags:0 mask:10000 ignored_mask:0 ", "mounts of another namespace"),
    ])
    func whoMustAgreeToAccessesIsNamed(_ mark: String, _ place: String) throws {
        try fixture.addListener(12, "fapolicyd", marks: mark)
        let findings = FanotifyCheck.findings(fixture.subject)
        #expect(findings.verdicts == [.warning])
        #expect(findings.text.hasPrefix("fapolicyd (process 12) must agree to every access to \(place): "))
    }

    @Test(arguments: [
        // Only told, not asked.
        "fanotify mnt_id:1c mflags:0 mask:8 ignored_mask:10000 ",
        // Asked, but about what is not frozen.
        "fanotify mnt_id:1d mflags:0 mask:10000 ignored_mask:0 ",
        "fanotify sdev:fe00003 mflags:0 mask:30000 ignored_mask:0 ",
        "garbage", "fanotify", "fanotify mnt_id: mask:zz", "",
    ])
    func whoeverElseIsNot(_ mark: String) throws {
        try fixture.addListener(12, "watcher", marks: mark)
        #expect(FanotifyCheck.findings(fixture.subject).verdicts == [.ok])
    }

    @Test func noProcessAtAllIsNoListener() {
        #expect(FanotifyCheck.findings(fixture.subject).verdicts == [.ok])
    }

    // MARK: audit

    @Test(arguments: [
        ("log_file = /srv/audit/audit.log", "/srv"), ("# log_file = /var/log/a\nLOG_FILE=/audit.log", "/"),
        ("write_logs = yes\nlog_file =  /srv/a b/c", "/srv"),
    ])
    func anAuditLogOnWhatIsFrozenIsAWarning(_ text: String, _ mountPoint: String) throws {
        try fixture.write("proc/9/comm", "auditd")
        try fixture.write("auditd.conf", text)
        let findings = AuditCheck.findings(fixture.subject)
        #expect(findings.verdicts == [.warning])
        #expect(findings.text.contains(" on \(mountPoint), which is frozen"))
    }

    @Test(arguments: ["log_file = /var/log/audit/audit.log", "write_logs = no", "log_format = NOLOG", ""])
    func anAuditLogElsewhereIsNot(_ text: String) throws {
        try fixture.write("proc/9/comm", "auditd")
        try fixture.write("auditd.conf", text)
        #expect(AuditCheck.findings(fixture.subject).verdicts == [.ok])
    }

    @Test func withoutAuditdItsConfigurationMeansNothing() throws {
        try fixture.write("proc/9/comm", "auditctl")
        try fixture.write("auditd.conf", "log_file = /srv/audit.log")
        #expect(AuditCheck.findings(fixture.subject).verdicts == [.ok])
    }

    // MARK: hung tasks

    @Test(arguments: [
        ("1", "60", Finding.Verdict.error), ("1", "59", .error), ("3", "60", .error), ("1", "61", .ok),
        ("0", "30", .ok), ("1", "0", .ok), ("1", "nonsense", .ok),
    ])
    func aPanicWithinTheWindowIsAnError(_ panics: String, _ timeout: String, _ verdict: Finding.Verdict) throws {
        try fixture.write("proc/sys/kernel/hung_task_panic", panics)
        try fixture.write("proc/sys/kernel/hung_task_timeout_secs", timeout)
        let findings = HungTaskCheck.findings(fixture.subject)
        #expect(findings.verdicts == [verdict])
        #expect((findings.first?.nextStep == nil) == (verdict == .ok))
    }

    @Test func aKernelWithoutTheDetectorIsFine() {
        #expect(HungTaskCheck.findings(fixture.subject).verdicts == [.ok])
    }

    // MARK: capabilities

    @Test(arguments: [
        ("CapEff:\t000001ffffffffff", Finding.Verdict.ok), ("CapEff:\t0000000000200000", .ok),
        ("CapPrm:\t000001ffffffffff\nCapEff:\t00000000a80425fb", .error), ("Name:\tx", .warning),
    ])
    func freezingNeedsCapSysAdmin(_ status: String, _ verdict: Finding.Verdict) throws {
        try fixture.write("proc/self/status", status)
        #expect(CapabilityCheck.findings(fixture.subject).verdicts == [verdict])
    }
}
