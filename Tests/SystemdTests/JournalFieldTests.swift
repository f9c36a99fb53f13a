import Logging
import Testing

@testable import Systemd

@Suite struct JournalFieldTests {
    private static func fields(_ level: Logger.Level, _ metadata: Logger.Metadata = [:]) -> [JournalField] {
        let event = LogEvent(
            level: level, message: "words", metadata: nil, source: nil, file: "", function: "", line: 1)
        return JournalField.fields(of: event, metadata: metadata)
    }

    @Test(arguments: [
        (Logger.Level.critical, "2"), (.error, "3"), (.warning, "4"), (.notice, "5"), (.info, "6"), (.debug, "7"),
        (.trace, "7"),
    ])
    func `a record has its message, its priority as syslog has it, and the daemon's name`(
        level: Logger.Level, priority: String
    ) {
        #expect(
            Self.fields(level).map { String(decoding: $0.bytes, as: UTF8.self) } == [
                "MESSAGE=words", "PRIORITY=\(priority)", "SYSLOG_IDENTIFIER=quiesced",
            ])
    }

    @Test(arguments: [
        ("message_id", "MESSAGE_ID"), ("request_id", "QUIESCE_REQUEST_ID"), ("channel", "QUIESCE_CHANNEL"),
        ("filesystem", "QUIESCE_FILESYSTEM"), ("hook", "QUIESCE_HOOK"), ("level", "QUIESCE_LEVEL"),
        // What the journal would drop the field for.
        ("a-b.c é=", "QUIESCE_A_B_C___"), ("_private", "QUIESCE__PRIVATE"),
        (String(repeating: "k", count: 99), "QUIESCE_" + String(repeating: "K", count: 56)),
    ])
    func `metadata are fields of their own`(key: String, name: String) {
        #expect(Self.fields(.info, [key: "value"]).last == JournalField(name: name, value: "value"))
    }

    @Test func `several filesystems are several fields`() {
        let fields = Self.fields(.info, ["filesystem": ["/", "/srv/a b\n"], "hook": "10-x"]).dropFirst(3)
        #expect(
            Array(fields) == [
                JournalField(name: "QUIESCE_FILESYSTEM", value: "/"),
                JournalField(name: "QUIESCE_FILESYSTEM", value: "/srv/a b\n"),
                JournalField(name: "QUIESCE_HOOK", value: "10-x"),
            ])
    }
}
