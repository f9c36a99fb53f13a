import FreezeCore

/// A number with two decimals. Without locale, and without a trap for what a damaged record may hold.
public func fixedPoint(_ number: Double) -> String {
    let hundredths = Int64((clamped(number) * 100).rounded())
    let (whole, fraction) = hundredths.magnitude.quotientAndRemainder(dividingBy: 100)
    return (hundredths < 0 ? "-" : "") + "\(whole)." + (fraction < 10 ? "0" : "") + "\(fraction)"
}

/// A duration in the unit that suits it.
public func readableDuration(milliseconds: Double) -> String {
    let milliseconds = clamped(milliseconds)
    if milliseconds < 1000 { return "\(fixedPoint(milliseconds)) ms" }
    if milliseconds < 60_000 { return "\(fixedPoint(milliseconds / 1000)) s" }
    let seconds = Int64((milliseconds / 1000).rounded())
    return "\(seconds / 60) min \(seconds % 60) s"
}

/// How long ago something was, in the largest unit of which there is at least one: `3 h ago`. Rounded down.
///
/// - Parameter age: negative for what lies in the future, as after the wall clock was set back.
public func relativeAge(_ age: Duration) -> String {
    let units: [(seconds: Int64, name: String)] = [(86_400, "day"), (3600, "h"), (60, "min"), (1, "s")]
    guard age >= .zero else { return "in the future" }
    let seconds = age.components.seconds
    guard let unit = units.first(where: { seconds >= $0.seconds }) else { return "just now" }
    let count = seconds / unit.seconds
    return (unit.name == "day" ? counted(Int(count), "day") : "\(count) \(unit.name)") + " ago"
}

/// `1 filesystem`, `2 filesystems`.
///
/// - Parameter plural: for a noun that does not just take an s.
public func counted(_ count: Int, _ singular: String, plural: String? = nil) -> String {
    "\(count) " + (count == 1 ? singular : plural ?? singular + "s")
}

private func clamped(_ number: Double) -> Double {
    number.isNaN ? 0 : min(max(number, -1e9), 1e9)
}
