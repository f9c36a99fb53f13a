/// What all text for a terminal keeps to.
public enum TextLayout {
    /// Columns in a line at most: what every terminal, console and mail shows without breaking lines.
    public static let width = 80
    /// Between two columns of a table, and between a label and its text.
    static let gap = 2
}
