import Testing

@testable import Systemd

@Suite struct LogDestinationTests {
    @Test(
        arguments: [
            ("8:12345", "8:12345", true, LogDestination.journal), ("8:12345", "8:12345", false, .journalLines),
            // Redirected after systemd had connected it: `ExecStart=sh -c "quiesced 2>/var/log/quiesced.log"`.
            ("8:12345", "8:12346", true, .text), ("8:12345", "9:12345", true, .text),
            ("8:12345", nil, true, .text),
            (nil, "8:12345", true, .text), (nil, nil, true, .text), ("", "8:12345", true, .text),
        ] as [(String?, String?, Bool, LogDestination)])
    func `the journal is written to only where standard error leads to it`(
        journalStream: String?, standardError: String?, isSocketThere: Bool, expected: LogDestination
    ) {
        let destination = LogDestination(
            journalStream: journalStream, standardError: standardError, isSocketThere: isSocketThere)
        #expect(destination == expected)
    }
}
