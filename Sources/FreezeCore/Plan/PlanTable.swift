/// A plan as text for a terminal.
public struct PlanTable: Sendable {
    private let plan: FreezePlan
    private let width: Int

    /// - Parameter width: in columns. Nothing is cut off to keep to it: what does not fit goes on below.
    public init(_ plan: FreezePlan, width: Int = 80) {
        self.plan = plan
        self.width = width
    }

    /// The table, the notes, and a line that sums up. Ends with a newline.
    public var text: String {
        var lines: [String] = []
        if !plan.filesystems.isEmpty {
            let rows = plan.filesystems.map(Row.init)
            lines += table([Row.titles] + rows)
            lines.append("")
        }
        for note in plan.notes {
            lines += wrap("Note: " + escapedControlCharacters(note), width: width, indent: "      ")
        }
        if !plan.notes.isEmpty { lines.append("") }
        lines += wrap(plan.summary, width: width, indent: "")
        return lines.joined(separator: "\n") + "\n"
    }

    private struct Row {
        let order: String
        let action: String
        let mountPoint: String
        let type: String
        let why: String

        static let titles = Row(
            order: "ORDER", action: "ACTION", mountPoint: "MOUNT POINT", type: "TYPE", why: "WHY")

        init(order: String, action: String, mountPoint: String, type: String, why: String) {
            self.order = order
            self.action = action
            self.mountPoint = mountPoint
            self.type = type
            self.why = why
        }

        init(_ filesystem: PlannedFilesystem) {
            order = filesystem.level.map { "\($0 + 1)" } ?? "-"
            action = filesystem.action.rawValue
            mountPoint = filesystem.mountPoint.escaped
            type = escapedControlCharacters(filesystem.mount.filesystemType)
            why = filesystem.reason
        }
    }

    private func table(_ rows: [Row]) -> [String] {
        let orderWidth = columnWidth(rows.map(\.order), atMost: 5)
        let actionWidth = columnWidth(rows.map(\.action), atMost: 6)
        let typeWidth = columnWidth(rows.map(\.type), atMost: 10)
        // What is left is for the mount point and the reason; the reason is prose and wraps well.
        let rest = max(width - orderWidth - actionWidth - typeWidth - 8, 2)
        let mountPointWidth = columnWidth(rows.map(\.mountPoint), atMost: max(rest / 2, 11))
        let whyWidth = max(rest - mountPointWidth, 16)
        return rows.flatMap { row in
            let cells = [
                ([row.order], orderWidth), ([row.action], actionWidth),
                (cut(row.mountPoint, width: mountPointWidth), mountPointWidth),
                (cut(row.type, width: typeWidth), typeWidth),
                (wrap(row.why, width: whyWidth, indent: ""), whyWidth),
            ]
            return (0..<(cells.map(\.0.count).max() ?? 0)).map { line in
                let columns = cells.map { cell, width in pad(line < cell.count ? cell[line] : "", to: width) }
                return trimmedAtEnd(columns.joined(separator: "  "))
            }
        }
    }

    private func columnWidth(_ cells: [String], atMost limit: Int) -> Int {
        min(cells.map(displayWidth).max() ?? 0, limit)
    }
}

extension FreezePlan {
    /// How many are frozen, synced and skipped, and how good a backup this makes at best.
    public var summary: String {
        let counts = FilesystemAction.allCases.map { "\(filesystems($0).count) to \($0.rawValue)" }
        let degrading = loweringLevel
        var text = counts.joined(separator: ", ")
        if levels.count > 1 { text += "; frozen in \(levels.count) steps, thawed in reverse" }
        if filesystems(.freeze).isEmpty {
            text += ": \(PlanError.nothingToFreeze.problem)."
        } else if let first = degrading.first {
            let others = degrading.count > 1 ? " and \(degrading.count - 1) more" : ""
            text += ". Crash-consistent at best, because of \(first.mountPoint.escaped)\(others)."
        } else {
            text += "."
        }
        return text
    }
}

/// Columns on a terminal: an approximation that counts characters, and wide ones twice.
private func displayWidth(_ text: String) -> Int {
    text.reduce(0) { $0 + displayWidth($1) }
}

private func displayWidth(_ character: Character) -> Int {
    guard let scalar = character.unicodeScalars.first else { return 0 }
    // East Asian wide and fullwidth blocks, and emoji (UAX #11).
    switch scalar.value {
    case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
        0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
        return 2
    default: return 1
    }
}

private func pad(_ text: String, to width: Int) -> String {
    text + String(repeating: " ", count: max(width - displayWidth(text), 0))
}

private func trimmedAtEnd(_ text: String) -> String {
    var text = text[...]
    while text.last == " " { text.removeLast() }
    return String(text)
}

/// Cuts a name into pieces, behind a slash where there is one in the second half of a piece.
private func cut(_ text: String, width: Int) -> [String] {
    var pieces: [String] = []
    var piece = ""
    var pieceWidth = 0
    for character in text {
        if pieceWidth + displayWidth(character) > width, !piece.isEmpty {
            var carried = ""
            if let slash = piece.lastIndex(of: "/"),
                piece.distance(from: piece.startIndex, to: slash) >= piece.count / 2
            {
                carried = String(piece[piece.index(after: slash)...])
                piece = String(piece[...slash])
            }
            pieces.append(piece)
            piece = carried
            pieceWidth = displayWidth(carried)
        }
        piece.append(character)
        pieceWidth += displayWidth(character)
    }
    pieces.append(piece)
    return pieces
}

/// Wraps prose at its spaces; a word that is too long is cut.
private func wrap(_ text: String, width: Int, indent: String) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
        for piece in cut(String(word), width: max(width - indent.count, 1)) {
            if line.isEmpty {
                line = (lines.isEmpty ? "" : indent) + piece
            } else if displayWidth(line) + 1 + displayWidth(piece) <= width {
                line += " " + piece
            } else {
                lines.append(line)
                line = indent + piece
            }
        }
    }
    return lines + [line]
}
