import Channels
import FreezeCore
import Testing

@Suite("The script of the simulated host")
struct HyperVHostScriptTests {
    @Test func readsSteps() throws {
        let script = try HyperVHostScript(parsing: "HOT_BACKUP, freeze,hold=2s,hold=500ms,hold=1m,THAW,OP=9")
        #expect(
            script.steps == [
                .operation(.hotBackup), .operation(.freeze), .hold(.seconds(2)), .hold(.milliseconds(500)),
                .hold(.seconds(60)), .operation(.thaw), .operation(HyperVOperation(rawValue: 9)),
            ])
    }

    @Test(
        "A bad step is named, with what is wrong and what to write",
        arguments: [
            ("", "\"\": an empty step"),
            ("FREEZE,,THAW", "\"\": an empty step"),
            ("FREEZE,UNFREEZE", "\"UNFREEZE\": no such step"),
            ("hold", "\"hold\": no such step"),
            ("FREEZE=1", "\"FREEZE=1\": no such step"),
            ("hold=2", "\"hold=2\": \"2\": it has no unit"),
            ("hold=s", "\"hold=s\": \"s\": it is not a duration"),
            ("hold=-1s", "\"hold=-1s\": \"-1s\": it is negative"),
            ("hold=9999999999s", "\"hold=9999999999s\": \"9999999999s\": it is too long"),
            ("OP=256", "\"OP=256\": an operation is a number from 0 to 255"),
            ("OP=", "\"OP=\": an operation is a number from 0 to 255"),
        ])
    func refusesABadStep(text: String, statement: String) {
        #expect {
            try HyperVHostScript(parsing: text)
        } throws: { error in
            guard let error = error as? ChannelError else { return false }
            return error.code == .invalidStep && error.description.hasPrefix(statement + ". ")
        }
    }
}
