/// Rows in aligned columns below their titles, in a width that is kept to: what does not fit goes on below.
public struct TextTable: Sendable {
    /// One column.
    public struct Column: Sendable {
        let title: String
        let limit: Int?
        let alignment: TextAlignment
        let overflow: TextColumns.Overflow

        /// - Parameters:
        ///   - title: empty in all columns for a table without titles.
        ///   - limit: the most columns of the terminal it may take. Columns without limit share what the others
        ///     leave: none gets less than an equal share, as long as it needs it.
        public init(
            _ title: String, limit: Int? = nil, _ alignment: TextAlignment = .left,
            overflow: TextColumns.Overflow = .wrap
        ) {
            self.title = title
            self.limit = limit
            self.alignment = alignment
            self.overflow = overflow
        }
    }

    /// One row.
    public struct Row: Sendable {
        let cells: [String]
        let note: String

        /// - Parameters:
        ///   - cells: escaped (see ``TextStyle/safe(_:)``). Those that are missing at the end are empty.
        ///   - note: prose that goes below, from the second column on; escaped.
        public init(_ cells: [String], note: String = "") {
            self.cells = cells
            self.note = note
        }
    }

    private let columns: [Column]
    private let rows: [Row]
    private let width: Int

    /// - Parameter width: in columns of the terminal. Kept to unless it is absurdly small.
    public init(_ columns: [Column], rows: [Row], width: Int = TextLayout.width) {
        self.columns = columns
        self.rows = rows
        self.width = width
    }

    public init(_ columns: [Column], rows: [[String]], width: Int = TextLayout.width) {
        self.init(columns, rows: rows.map { Row($0) }, width: width)
    }

    /// The titles and the rows. None if there are no rows.
    public var lines: [String] {
        guard !rows.isEmpty else { return [] }
        let widths = widths
        let layout = TextColumns(
            zip(columns, widths).map { .init($1, $0.alignment, overflow: $0.overflow) })
        let titles = columns.map(\.title)
        let heading = titles.allSatisfy(\.isEmpty) ? [] : layout.lines(titles)
        let indentation = columns.count > 1 ? widths[0] + TextLayout.gap : 0
        let indent = String(repeating: " ", count: indentation)
        return heading
            + rows.flatMap { row in
                layout.lines(row.cells) + row.note.wrapped(to: width - indentation).map { indent + $0 }
            }
    }

    /// No column without limit is made narrower than this, or than its title.
    private static let narrowest = 8

    private var widths: [Int] {
        var widths = columns.indices.map { index in
            let cells = rows.compactMap { index < $0.cells.count ? $0.cells[index].displayWidth : nil }
            return max(columns[index].title.displayWidth, cells.max() ?? 0)
        }
        for (index, column) in columns.enumerated() {
            if let limit = column.limit {
                widths[index] = min(widths[index], max(limit, column.title.displayWidth))
            }
        }
        // Who needs least is served first, so that nobody gets more than he needs while another lacks.
        let flexible = columns.indices.filter { columns[$0].limit == nil }.sorted { widths[$0] < widths[$1] }
        let taken = columns.indices.filter { columns[$0].limit != nil }.reduce(0) { $0 + widths[$1] }
        var room = width - taken - TextLayout.gap * (columns.count - 1)
        for (served, index) in flexible.enumerated() {
            let share = max(
                room / (flexible.count - served), Self.narrowest, columns[index].title.displayWidth)
            widths[index] = min(widths[index], share)
            room -= widths[index]
        }
        return widths
    }
}
