extension StringProtocol {
    /// The prose in lines, broken at its spaces; a word that is longer than a line is cut as a name is. No line for
    /// text without a word.
    ///
    /// - Parameter indentation: of every line but the first, in columns.
    public func wrapped(to width: Int, indentation: Int = 0) -> [String] {
        let indent = String(repeating: " ", count: indentation)
        var lines: [String] = []
        var line = ""
        for word in split(separator: " ") {
            for piece in word.cut(to: width - indentation) {
                if line.isEmpty {
                    line = piece
                } else if line.displayWidth + 1 + piece.displayWidth <= width {
                    line += " " + piece
                } else {
                    lines.append(line)
                    line = indent + piece
                }
            }
        }
        return line.isEmpty ? lines : lines + [line]
    }

    /// The name in pieces that fit, cut behind a slash where there is one in the second half of a piece. Put together
    /// the pieces are the name: nothing is left out. A piece has one character at least.
    public func cut(to width: Int) -> [String] {
        var pieces: [String] = []
        var rest = self[...]
        while true {
            var piece = rest.prefix(columns: width)
            // Never the width of all the rest: for a long name that takes a time that grows with its square.
            if piece.endIndex == rest.endIndex { return pieces + [String(rest)] }
            if piece.isEmpty { piece = rest.prefix(1) }
            if let slash = piece.lastIndex(of: "/"),
                piece.distance(from: piece.startIndex, to: slash) >= piece.count / 2
            {
                piece = piece[...slash]
            }
            pieces.append(String(piece))
            rest = rest[piece.endIndex...]
            if rest.isEmpty { return pieces }
        }
    }
}
