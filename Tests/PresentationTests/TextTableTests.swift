import Presentation
import Testing

@Suite struct TextTableTests {
    private let columns: [TextTable.Column] = [
        .init("NAME", overflow: .cut), .init("MS", limit: 6, .right), .init("WHY"),
    ]

    @Test func alignsAndGoesOnBelow() {
        let table = TextTable(
            columns,
            rows: [
                ["/srv", "1.25", "fine"],
                ["/srv/images/guest-with-a-long-name", "1024.5", "the disk was slow when this was written"],
            ], width: 40)
        #expect(
            table.lines == [
                "NAME                 MS  WHY",
                "/srv               1.25  fine",
                "/srv/images/     1024.5  the disk was",
                "guest-with-a-lo          slow when this",
                "ng-name                  was written",
            ])
    }

    @Test func whoNeedsLittleLeavesTheRest() {
        let name = String(repeating: "n", count: 28)
        let lines = TextTable(columns, rows: [[name, "1", "ok"]], width: 40).lines
        #expect(lines.last == "\(name)   1  ok")
    }

    @Test func notesStandBelowTheirRows() {
        let table = TextTable(
            [.init("ID"), .init("RESULT")],
            rows: [.init(["1", "crash"], note: "only flushed: /mnt/usb"), .init(["2", "ok"])], width: 20)
        #expect(
            table.lines == [
                "ID  RESULT", "1   crash", "    only flushed:", "    /mnt/usb", "2   ok",
            ])
    }

    @Test func withoutTitlesThereIsNoHeading() {
        #expect(TextTable([.init(""), .init("")], rows: [["a", "b"], ["cc", ""]]).lines == ["a   b", "cc"])
        #expect(TextTable(columns, rows: [[String]]()).lines.isEmpty)
    }

    @Test(arguments: 30...90)
    func keepsToItsWidth(_ width: Int) {
        let long = String(repeating: "日本語 /srv/name ", count: 12)
        let table = TextTable(columns, rows: [[long, "12345678", long], ["/", "", ""]], width: width)
        for line in table.lines { #expect(line.displayWidth <= width, "\(line)") }
    }

    @Test func labelsStandBesideTheirTexts() {
        let lines = labelledLines(
            [("State", "idle"), ("Last backup", "3 h ago, crash-consistent"), ("Left out", "")], width: 32)
        #expect(
            lines == [
                "State        idle",
                "Last backup  3 h ago,",
                "             crash-consistent",
            ])
    }
}
