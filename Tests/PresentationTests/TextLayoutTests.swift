import Presentation
import Testing

@Suite struct TextLayoutTests {
    @Test(arguments: [
        ("", 0), ("abc", 3), ("é", 1), ("e\u{301}", 1), ("日本", 4), ("👨‍👩‍👧", 2), ("❤️", 2), ("한", 2), ("…│━█", 4),
    ])
    func widthIsWhatATerminalTakes(_ text: String, _ width: Int) {
        #expect(text.displayWidth == width)
    }

    @Test func prefixAndSuffixKeepWholeCharacters() {
        #expect("日本語".prefix(columns: 5) == "日本")
        #expect("日本語".suffix(columns: 5) == "本語")
        #expect("abc".prefix(columns: 9) == "abc")
        #expect("abc".suffix(columns: 9) == "abc")
        #expect("abc".prefix(columns: -1).isEmpty)
        #expect("abc".suffix(columns: 0).isEmpty)
    }

    @Test func padsOnEitherSide() {
        #expect("日".padded(to: 4) == "日  ")
        #expect("12".padded(to: 4, .right) == "  12")
        #expect("abcde".padded(to: 4) == "abcde")
    }

    @Test func wrapsProseAtSpaces() {
        #expect("one two  three".wrapped(to: 7) == ["one two", "three"])
        #expect("Note: one two".wrapped(to: 9, indentation: 4) == ["Note: one", "    two"])
        #expect("  ".wrapped(to: 7).isEmpty)
    }

    @Test func cutsNamesBehindSlashes() {
        #expect("/srv/images/guest".cut(to: 12) == ["/srv/images/", "guest"])
        #expect("/averylongname".cut(to: 5) == ["/aver", "ylong", "name"])
        #expect("see /srv/images/guest".wrapped(to: 12) == ["see", "/srv/images/", "guest"])
        #expect("".cut(to: 5) == [""])
        // Narrower than a character: one in each line, and an end.
        #expect("日本".cut(to: 1) == ["日", "本"])
        #expect("ab".cut(to: 0) == ["a", "b"])
    }

    /// With its square, this one would take ten minutes.
    @Test(.timeLimit(.minutes(1))) func cutsALongNameInATimeThatGrowsWithItsLength() {
        #expect(String(repeating: "x", count: 400_000).cut(to: 40).count == 10_000)
    }

    @Test func shortensWhereItTellsLeast() {
        #expect(TextStyle.unicode.shortened("/srv/images/guest", to: 12) == "/srv/…/guest")
        #expect(TextStyle.ascii.shortened("/srv/images/guest", to: 12) == "/srv...guest")
        #expect(TextStyle.unicode.truncated("postgresql", to: 6) == "postg…")
        #expect(TextStyle.unicode.shortened("日本語日本語", to: 7).displayWidth <= 7)
        let names = (1...3).map { "/srv/tenants/customer-\($0)/production/database" }
        #expect(
            TextStyle.unicode.shortened(names, to: 24)
                == ["…customer-1/production/…", "…customer-2/production/…", "…customer-3/production/…"])
    }

    @Test func asciiEscapesTheRest() {
        #expect(TextStyle.ascii.safe("Büro\u{1B}") == "B\\303\\274ro\\033")
        #expect(TextStyle.unicode.safe("Büro\u{1B}") == "Büro\\033")
    }

    @Test(arguments: [
        (0.0, "0.00 ms"), (999.994, "999.99 ms"), (1160, "1.16 s"), (59_994, "59.99 s"), (90_400, "1 min 30 s"),
        (-1.5, "-1.50 ms"), (.nan, "0.00 ms"), (.infinity, "16666 min 40 s"),
    ])
    func durationsHaveTheUnitThatSuitsThem(_ milliseconds: Double, _ text: String) {
        #expect(readableDuration(milliseconds: milliseconds) == text)
    }

    @Test(arguments: [
        (Duration.milliseconds(400), "just now"), (.seconds(59), "59 s ago"), (.seconds(60), "1 min ago"),
        (.seconds(3 * 3600 + 3599), "3 h ago"), (.seconds(86_400), "1 day ago"),
        (.seconds(950_400), "11 days ago"),
        (.milliseconds(-1), "in the future"),
    ])
    func agesAreRoundedDown(_ age: Duration, _ text: String) {
        #expect(relativeAge(age) == text)
    }

    @Test func nounsAgreeWithTheirNumber() {
        #expect(
            [0, 1, 2].map { counted($0, "filesystem") } == ["0 filesystems", "1 filesystem", "2 filesystems"])
        #expect(counted(2, "entry", plural: "entries") == "2 entries")
    }
}
