@testable import Channels

/// The requests of a client, in pieces that the agent reads one by one.
struct AgentVisit {
    /// The agent's view of the end.
    enum End: CaseIterable {
        /// The next client connects before the agent sees the end.
        case unseen
        /// The next client connects while the agent waits for confirmation of the end.
        case doubted
        case certain
    }

    /// A place of a cut between two pieces, or of the end.
    enum Place: CaseIterable {
        case cutInEscape, cutInCharacter, cutAfter0xFF, endInside, endAfter0xFF, endBetween
    }

    let pieces: [[UInt8]]
    let end: End

    init(pieces: [[UInt8]], end: End) {
        (self.pieces, self.end) = (pieces, end)
    }

    init(_ pieces: [String], end: End) {
        self.init(pieces: pieces.map { Array($0.utf8) }, end: end)
    }

    /// Ends the requests of an earlier client, as clients do at the beginning.
    static let reset = AgentVisit(
        pieces: [[0xFF] + Array("{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":1}}\n".utf8)],
        end: .unseen)

    var places: Set<Place> {
        var places: Set<Place> = []
        for (piece, next) in zip(pieces, pieces.dropFirst()) {
            if piece.last == UInt8(ascii: "\\") { places.insert(.cutInEscape) }
            if piece.last == 0xC3, next.first == 0xA9 { places.insert(.cutInCharacter) }
            if piece.last == 0xFF { places.insert(.cutAfter0xFF) }
        }
        var reader = AgentRequestReader()
        _ = reader.read(pieces.joined())
        if pieces.last?.last == 0xFF {
            places.insert(.endAfter0xFF)
        } else {
            places.insert(reader.isInsideValue ? .endInside : .endBetween)
        }
        return places
    }
}

extension AgentVisit: CustomStringConvertible {
    var description: String { "\(pieces.map { String(decoding: $0, as: UTF8.self) }), \(end)" }
}

/// Streams of requests, often damaged.
struct AgentStreams: RandomNumberGenerator {
    private var generator: SplitMix64

    init(seed: UInt64) {
        generator = SplitMix64(seed: seed)
    }

    mutating func next() -> UInt64 { generator.next() }

    private mutating func one<Element>(of elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &self)]
    }
    private mutating func oneIn(_ count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }

    mutating func make() -> [UInt8] {
        var stream: [UInt8] = []
        for _ in 0...Int.random(in: 0...3, using: &self) {
            var request = Array(self.request().utf8)
            if oneIn(3) { damage(&request) }
            stream += request + Array(one(of: ["", "\n", " ", "\r\n\t"]).utf8)
            if oneIn(8) { stream.append(0xFF) }
        }
        return stream
    }

    /// Up to three clients and the ends of them, often in the middle.
    mutating func makeVisits() -> [AgentVisit] {
        (0...Int.random(in: 0...2, using: &self)).map { _ in
            var bytes = make()
            if !oneIn(3) { bytes.removeLast(Int.random(in: 0...bytes.count, using: &self)) }
            return AgentVisit(pieces: cut(bytes), end: one(of: AgentVisit.End.allCases))
        }
    }

    private mutating func cut(_ bytes: [UInt8]) -> [[UInt8]] {
        let longest = one(of: [1, 3, 20, 1000])
        var (pieces, rest): ([[UInt8]], _) = ([], bytes[...])
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...longest, using: &self))
            pieces.append(Array(piece))
            rest = rest.dropFirst(piece.count)
        }
        return pieces
    }

    private mutating func request() -> String {
        let quote = one(of: ["\"", "\"", "'"])
        func quoted(_ text: String) -> String { quote + text + quote }
        let command = one(of: [
            "guest-sync", "guest-sync-delimited", "guest-ping", "guest-\\u0070ing", "guest-none", "", "é",
            "a\\/b\\\\",
        ])
        var members = ["\(quoted("execute")): \(quoted(command))"]
        if oneIn(2) {
            members.append(
                "\(quoted("arguments")):{\(one(of: ["\"id\":\(value(depth: 0))", "\"id\":\(Int64.random(in: .min...(.max), using: &self))", "", "\"x\":1"]))}"
            )
        }
        if oneIn(2) { members.append("\(quoted("id")) :\(value(depth: 0))") }
        if oneIn(8) { members.append(one(of: ["\"x\":1", "\"execute\":\"a\"", "\"\":null"])) }
        return "{" + members.shuffled(using: &self).joined(separator: one(of: [",", " , ", ",\n"])) + "}"
    }

    private mutating func value(depth: Int) -> String {
        switch Int.random(in: 0..<(depth > 3 ? 4 : 6), using: &self) {
        case 0: one(of: ["null", "true", "false", "nul", "x"])
        case 1: one(of: ["0", "-1", "9223372036854775807", "-9223372036854775808", "1.5", "01", "1.", "-", "1e"])
        case 2:
            one(of: [
                "\"\"", "\"é\u{7F}\\\"\\n\"", "'\"\\''", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"\\u12\"",
                "\"\\x\"", "\"😀\"",
                "\"\\u0000\"", "\"\\uffff\"",
            ])
        case 3: "\(Int64.random(in: .min ... .max, using: &self))"
        case 4: "[\(list(depth).joined(separator: ", "))]"
        // A single member: qemu-ga orders members by a hash of the names.
        default: "{\(list(depth).prefix(1).map { "\"a\": \($0)" }.joined())}"
        }
    }

    private mutating func list(_ depth: Int) -> [String] {
        (0..<Int.random(in: 0..<4, using: &self)).map { _ in value(depth: depth + 1) }
    }

    private mutating func damage(_ bytes: inout [UInt8]) {
        let place = Int.random(in: 0..<bytes.count, using: &self)
        switch Int.random(in: 0..<5, using: &self) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &self)
        case 1: bytes.remove(at: place)
        case 2:
            bytes.insert(
                one(of: Array("{}[],:\"'\\ \n\u{1}%#+-.09azAZ/".utf8) + [0x80, 0xC0, 0xC3, 0xFD, 0xFE, 0xFF]),
                at: place)
        case 3: bytes.removeLast(bytes.count - place)
        default: bytes.swapAt(place, Int.random(in: 0..<bytes.count, using: &self))
        }
    }
}
