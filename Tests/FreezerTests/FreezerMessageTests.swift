import FreezeCore
import FreezerProtocol
import SystemPackage
import Testing

/// What daemon and freezer say to one another.
@Suite struct FreezerMessageTests {
    static let commands: [FreezerCommand] = [
        .prepare(.none, superblockCount: 0), .prepare(FreezerRequestID(number: 7), superblockCount: 300),
        .descriptors(firstIndex: 253),
        .freeze(step: 0, freezeDeadline: Moment(nanoseconds: 1), windowDeadline: Moment(nanoseconds: .max)),
        .freeze(step: 7, freezeDeadline: Moment(nanoseconds: .min), windowDeadline: Moment(nanoseconds: -1)),
        .thaw, .release,
    ]
    static let reports: [FreezerReport] = news.enumerated().map { number, news in
        FreezerReport(FreezerRequestID(number: number), news)
    }
    private static let news: [FreezerNews] = [
        .ready, .prepared, .prepareFailed(.noMemory), .thawing(.freezeDeadline), .thawing(.windowDeadline),
        .froze(index: 0, error: nil, started: Moment(nanoseconds: 1), ended: Moment(nanoseconds: .max)),
        .froze(index: 299, error: .resourceBusy, started: Moment(nanoseconds: 0), ended: Moment(nanoseconds: 2)),
        .thawed(index: 3, error: .invalidArgument, started: Moment(nanoseconds: 4), ended: Moment(nanoseconds: 5)),
        .thawed(index: 3, error: nil, started: Moment(nanoseconds: 4), ended: Moment(nanoseconds: 5)),
        .thawFinished, .released,
    ]

    @Test func `every command and report comes back out of its packet`() {
        for command in Self.commands { #expect(FreezerCommand(packet: command.packet) == command) }
        for report in Self.reports { #expect(FreezerReport(packet: report.packet) == report) }
    }

    @Test func `no packet but a whole one is understood`() {
        for packet in Self.commands.map(\.packet) {
            for length in 0..<packet.count { #expect(FreezerCommand(packet: Array(packet[..<length])) == nil) }
            #expect(FreezerCommand(packet: packet + [0]) == nil)
            #expect(FreezerCommand(packet: packet + [UInt8](repeating: 0, count: 8)) == nil)
        }
        for packet in Self.reports.map(\.packet) {
            for length in 0..<packet.count { #expect(FreezerReport(packet: Array(packet[..<length])) == nil) }
        }
    }

    @Test func `an error number that is none is no success`() {
        let moment = Moment(nanoseconds: 0)
        let news = FreezerNews.froze(index: 0, error: .resourceBusy, started: moment, ended: moment)
        var packet = FreezerReport(.none, news).packet
        // In the number's upper half, which an error does not have.
        packet[24] = 0
        packet[28] = 1
        #expect(FreezerReport(packet: packet) == nil)
    }

    @Test func `noise is dropped, or is the packet of what it is taken for`() {
        var random = SeededGenerator(seed: 6)
        var understood = 0
        for _ in 0..<20_000 {
            var packet = Self.commands.randomElement(using: &random)?.packet ?? []
            for _ in 0..<Int.random(in: 1..<6, using: &random) where !packet.isEmpty {
                packet[Int.random(in: 0..<packet.count, using: &random)] = .random(in: 0...255, using: &random)
            }
            if Bool.random(using: &random) { packet.removeLast(8 * Int.random(in: 0...1, using: &random)) }
            if let command = FreezerCommand(packet: packet) {
                understood += 1
                #expect(command.packet == packet)
            }
            if let report = FreezerReport(packet: packet) {
                #expect(FreezerReport(packet: report.packet) == report)
            }
        }
        #expect(understood > 100)
    }
}
