import FreezeCore
import Testing

@Suite struct MessageIDTests {
    /// The journal takes nothing else for a MESSAGE_ID: 128 bits, as sd_id128_from_string(3) reads them.
    @Test func `message ids are what the journal takes for one, and differ`() {
        let ids = MessageID.allCases.map(\.rawValue)
        #expect(Set(ids).count == ids.count)
        for id in ids { #expect(id.wholeMatch(of: /[0-9a-f]{32}/) != nil, "\(id)") }
    }

    /// Alerts look for them: whoever changes one breaks somebody's.
    @Test func `message ids stay what they are`() {
        #expect(MessageID.backupFailed.rawValue == "7594432eb46f2c83855f4129941920cb")
        #expect(MessageID.backupSucceeded.rawValue == "7a80c7727caa899d94ff145fa074c749")
        #expect(MessageID.thawedEarly.rawValue == "7e0b08810675664016f842a0df69ac97")
        #expect(MessageID.filesystemStuck.rawValue == "620fc8679bb5aef1e8fd334f257096d5")
    }
}
