/// Columns of known width, for rows that are printed one by one as things happen. Where all rows are known before,
/// ``TextTable`` finds the widths.
public struct TextColumns: Sendable, Hashable {
    /// One column.
    public struct Column: Sendable, Hashable {
        public let width: Int
        public let alignment: TextAlignment
        public let overflow: Overflow

        public init(_ width: Int, _ alignment: TextAlignment = .left, overflow: Overflow = .wrap) {
            self.width = width
            self.alignment = alignment
            self.overflow = overflow
        }
    }

    /// How a cell goes on below when it does not fit. Nothing is left out.
    public enum Overflow: Sendable, Hashable {
        /// A name: cut into pieces, behind a slash where it can be.
        case cut
        /// Prose: broken at its spaces.
        case wrap
    }

    private let columns: [Column]

    public init(_ columns: [Column]) {
        self.columns = columns
    }

    /// The lines of one row. Cells that are missing at its end are empty.
    public func lines(_ cells: [String]) -> [String] {
        let pieces = zip(columns, cells).map { column, cell in
            column.overflow == .cut ? cell.cut(to: column.width) : cell.wrapped(to: column.width)
        }
        let separator = String(repeating: " ", count: TextLayout.gap)
        return (0..<(pieces.map(\.count).max() ?? 0)).map { line in
            let parts = zip(columns, pieces).map { column, cell in
                (line < cell.count ? cell[line] : "").padded(to: column.width, column.alignment)
            }
            return String(parts.joined(separator: separator).withoutTrailingSpaces)
        }
    }
}
