import FreezeCore
import Logging
import Synchronization
import Testing

@testable import Systemd

@Suite struct JournalLogHandlerTests {
    /// Keeps what it is given.
    private final class Sink: Sendable {
        let fields = Mutex<[[JournalField]]>([])
        let lines = Mutex<[String]>([])
    }

    private struct FallbackHandler: LogHandler {
        let sink: Sink
        var logLevel = Logger.Level.info
        var metadata = Logger.Metadata()
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) { sink.lines.withLock { $0.append(PrefixedLogHandler.line(for: event)) } }
    }

    private let sink = Sink()

    private func logger(isTaken: Bool = true) -> Logger {
        Logger(label: "quiesced") { [sink] _ in
            JournalLogHandler(
                send: { fields in
                    sink.fields.withLock { $0.append(fields) }
                    return isTaken
                }, fallback: FallbackHandler(sink: sink))
        }
    }

    @Test func `what is said of one record goes before what the logger says of all`() throws {
        var logger = logger()
        logger[metadataKey: "channel"] = "hyperv"
        logger[metadataKey: "hook"] = "logger's"
        logger.error("failed", metadata: ["hook": "10-x", "message_id": "\(MessageID.backupFailed.rawValue)"])
        let record = try #require(sink.fields.withLock { $0 }.first)
        #expect(
            record.dropFirst(3).map(\.name) == ["QUIESCE_CHANNEL", "QUIESCE_HOOK", "MESSAGE_ID"])
        #expect(
            record.dropFirst(3).map(\.value) == [
                "hyperv", "10-x", MessageID.backupFailed.rawValue,
            ])
        #expect(sink.lines.withLock { $0 }.isEmpty)
    }

    @Test func `a record that the journal does not take is written as a line`() {
        logger(isTaken: false).error("broken\nin two\u{1B}[2J", metadata: ["hook": "10-x"])
        #expect(sink.lines.withLock { $0 } == ["<3>broken\\012in two\\033[2J\n"])
    }

    @Test func `what is below the level is not written`() {
        logger().debug("detail")
        #expect(sink.fields.withLock { $0 }.isEmpty)
    }
}
