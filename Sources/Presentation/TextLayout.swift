/// What all text for a terminal keeps to.
public enum TextLayout {
    /// Columns in a line at most: what every terminal, console and mail shows without breaking lines.
    public static let width = 80
    /// Between two columns of a table, and between a label and its text.
    static let gap = 2
}

/// Labels with what they stand for, one below the other: the texts begin in one column and are wrapped within it.
///
/// ```
/// Request  20261121T103645-1 from hyperv
/// Reason   hook 10-postgresql exited with status 3: psql: error: connection
///          refused
/// ```
///
/// - Parameter items: escaped. One without a word in its text is left out.
public func labelledLines(
    _ items: [(label: String, text: String)], width: Int = TextLayout.width
) -> [String] {
    let indentation = (items.map(\.label.displayWidth).max() ?? 0) + TextLayout.gap
    return items.flatMap { label, text in
        text.wrapped(to: width - indentation).enumerated().map { index, line in
            (index == 0 ? label : "").padded(to: indentation) + line
        }
    }
}
