import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import Channels

/// The dialect of QEMU, by comparison with Debian's qemu-ga: both get the same streams of requests.
///
/// qemu-ga runs as `nobody`, without the commands that freeze. Intended differences, which the streams avoid: numbers in
/// `id` are repeated as sent, at most 64 levels and 1 MiB are accepted, and of several mistakes in one request another
/// may be named.
@Suite(
    .needs("qemu-ga (the package qemu-guest-agent)", toTest: "the dialect of QEMU's guest agent") {
        QemuAgent.isInstalled
    })
struct AgentDifferentialTests {
    @Test func `replies equal those of qemu-ga`() throws {
        let agent = try QemuAgent()
        defer { agent.end() }
        var random = SystemRandomNumberGenerator()
        let seed = UInt64.random(in: 0...UInt64.max, using: &random)
        for number in 0..<2000 {
            var streams = AgentStreams(seed: seed &+ UInt64(number))
            let stream = streams.make()
            let marker = 1_000_000 + number
            let bytes =
                stream + [0xFF]
                + Array("{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":\(marker)}}".utf8)
            let theirs = try agent.replies(to: bytes, upTo: marker)
            let ours = replies(to: bytes)
            try #require(
                ours == theirs || normalized(ours) == normalized(theirs),
                """
                seed \(seed &+ UInt64(number)), \(String(decoding: stream, as: UTF8.self))
                quiesced: \(normalized(ours))
                qemu-ga:  \(normalized(theirs))
                """)
        }
    }

    private func replies(to bytes: [UInt8]) -> [UInt8] {
        var session = AgentSession(version: "1")
        return session.received(bytes, at: .now).flatMap { effect -> [UInt8] in
            if case .send(let bytes) = effect { bytes } else { [] }
        }
    }

    /// The lines. A sequence of bytes that is not UTF-8 has one or several marks, and qemu-ga repeats a fraction, and a
    /// number beyond 64 bits, as floating point. Of several wrong members qemu-ga names the first by a hash of the names.
    private func normalized(_ replies: [UInt8]) -> [String] {
        String(decoding: replies, as: UTF8.self).split(separator: "\n").map { line in
            var line = String(line)
            while let range = line.firstRange(of: "\\uFFFD\\uFFFD") {
                line.replaceSubrange(range, with: "\\uFFFD")
            }
            line.replace(#/QMP input member '.*' (is unexpected|must be an? [a-z]*)/#) { _ in "QMP input member" }
            return line.replacing(#/-?[0-9][-+.0-9eE]*/#) { match in
                // Minus zero is 0 in qemu-ga.
                Double(match.output).map { "\($0 + 0)" } ?? String(match.output)
            }
        }
    }
}

/// Streams of requests, often damaged.
private struct AgentStreams: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

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
