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
/// may be named. One difference has a separate test: half a request of a disconnected client is dropped.
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

    @Test
    func `replies equal those of qemu-ga, also to pieces of requests, and after clients that end in the middle`()
        throws
    {
        let agent = try QemuAgent()
        defer { agent.end() }
        var random = SystemRandomNumberGenerator()
        let seed = UInt64.random(in: 0...UInt64.max, using: &random)
        var places: Set<AgentVisit.Place> = []
        for number in 0..<2000 {
            var streams = AgentStreams(seed: seed &+ UInt64(number))
            let visits = streams.makeVisits() + [.reset]
            var session = AgentSession(version: "1")
            for (index, visit) in visits.enumerated() {
                let theirs = try agent.replies(to: visit.pieces)
                let ours = replies(to: visit, of: &session, after: index > 0 ? visits[index - 1].end : nil)
                try #require(
                    ours == theirs || normalized(ours) == normalized(theirs),
                    """
                    seed \(seed &+ UInt64(number)), client \(index) of \(visits)
                    quiesced: \(normalized(ours))
                    qemu-ga:  \(normalized(theirs))
                    """)
                places.formUnion(visit.places)
                if visit.end == .certain { _ = try agent.replies(to: AgentVisit.reset.pieces) }
            }
        }
        #expect(places == Set(AgentVisit.Place.allCases))
    }

    @Test func `an intended difference: half a request of a client that is gone does not spoil the next request`()
        throws
    {
        let agent = try QemuAgent()
        defer { agent.end() }
        let half = AgentVisit(["{\"execute\":\"guest-pi"], end: .certain)
        let ping = AgentVisit(["{\"execute\":\"guest-ping\"}"], end: .unseen)
        var session = AgentSession(version: "1")
        #expect(try agent.replies(to: half.pieces) == replies(to: half, of: &session, after: nil))
        #expect(try normalized(agent.replies(to: ping.pieces)).first?.contains("JSON parse error") == true)
        #expect(normalized(replies(to: ping, of: &session, after: .certain)) == ["{\"return\": {}}"])
    }

    /// The replies of quiesced to a client, as the channel's thread calls the session.
    private func replies(
        to visit: AgentVisit, of session: inout AgentSession, after end: AgentVisit.End?
    ) -> [UInt8] {
        var effects: [AgentSession.Effect] = []
        switch end {
        case .unseen, nil: break
        case .doubted:
            effects += session.clientIsInDoubt(at: .now)
            // Data can arrive before the port shows the client.
            if let first = visit.pieces.first { effects += session.received(first, at: .now) }
            effects += session.clientIsThere(at: .now)
        case .certain:
            effects += session.clientIsInDoubt(at: .now) + session.clientIsGone(at: .now)
        }
        for piece in visit.pieces.dropFirst(end == .doubted ? 1 : 0) {
            effects += session.received(piece, at: .now)
        }
        return bytes(effects)
    }

    private func bytes(_ effects: [AgentSession.Effect]) -> [UInt8] {
        effects.flatMap { effect -> [UInt8] in if case .send(let bytes) = effect { bytes } else { [] } }
    }

    private func replies(to bytes: [UInt8]) -> [UInt8] {
        var session = AgentSession(version: "1")
        return self.bytes(session.received(bytes, at: .now))
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
