import FreezeCore
import Testing

@Suite struct DurationTextTests {
    @Test(arguments: [
        ("500ms", Duration.milliseconds(500)), ("10s", .seconds(10)), ("2m", .seconds(120)),
        ("1h", .seconds(3600)),
        ("1m30s", .seconds(90)), ("1h1ms", .milliseconds(3_600_001)), ("010s", .seconds(10)),
        ("24h", .seconds(86400)),
    ])
    func `a number with a unit is a duration`(text: String, duration: Duration) throws {
        #expect(try DurationText.parse(text) == duration)
    }

    @Test(arguments: [
        "", "10", "s", "10 s", " 10s", "10s ", "10x", "10sec", "1.5s", "-1s", "+1s", "0s", "0m0s", "30s1m", "1s1s",
        "1m30",
        "10S", "١s", "25h", "99999999999999999999s", "23h61m1ms", "ten",
    ])
    func `anything else is refused`(text: String) {
        #expect(throws: DurationText.ParseError.self) { try DurationText.parse(text) }
    }

    @Test(arguments: [
        (Duration.seconds(60), "60s"), (.seconds(120), "2m"), (.seconds(90), "90s"), (.seconds(1), "1s"),
        (.milliseconds(1500), "1500ms"), (.milliseconds(1), "1ms"), (.seconds(3600), "60m"),
        (.seconds(7200), "2h"),
    ])
    func `a duration is written with one unit`(duration: Duration, text: String) throws {
        #expect(DurationText.text(duration) == text)
        #expect(try DurationText.parse(text) == duration)
    }
}
