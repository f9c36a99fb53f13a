import FreezeCore
import FreezerProtocol
import SystemPackage

/// What the freezer takes for a command, and the daemon for a report.
struct FreezerPacketFuzz: ParserFuzz {
    static let name = "freezer"
    static let sources = ["FreezerProtocol/FreezerMessage.swift", "FreezerProtocol/FreezerMessage+Packet.swift"]

    private let mutation = Mutation()

    func makeInput(_ random: inout SplitMix64) -> FuzzInput {
        let valid = random.oneIn(2) ? command(&random).packet : report(&random).packet
        switch random.below(4) {
        case 0: return FuzzInput(valid, isValid: true)
        case 1: return FuzzInput(mutation.mutatedBytes(valid, &random))
        case 2:
            // Numbers, in a length that there might be.
            let fields = (0..<(1 + random.below(7))).map { $0 < 2 ? Int64(random.below(10)) : random.oddNumber() }
            return FuzzInput(fields.flatMap { field in withUnsafeBytes(of: field.littleEndian) { Array($0) } })
        default: return FuzzInput(random.bytes(random.below(80)))
        }
    }

    private func command(_ random: inout SplitMix64) -> FreezerCommand {
        switch random.below(5) {
        case 0: .prepare(FreezerRequestID(number: Int(random.oddNumber())), superblockCount: random.below(1 << 20))
        case 1: .descriptors(firstIndex: random.below(1 << 20))
        case 2: .freeze(step: random.below(9), freezeDeadline: moment(&random), windowDeadline: moment(&random))
        case 3: .thaw
        default: .release
        }
    }

    private func report(_ random: inout SplitMix64) -> FreezerReport {
        let error = random.maybe { Errno(rawValue: CInt(1 + $0.below(600))) }
        let index = random.below(1 << 20)
        let news: FreezerNews =
            switch random.below(9) {
            case 0: .ready
            case 1: .prepared
            case 2: .prepareFailed(Errno(rawValue: CInt(random.below(200))))
            case 3: .froze(index: index, error: error, started: moment(&random), ended: moment(&random))
            case 4: .thawing(.freezeDeadline)
            case 5: .thawing(.windowDeadline)
            case 6: .thawed(index: index, error: error, started: moment(&random), ended: moment(&random))
            case 7: .thawFinished
            default: .released
            }
        return FreezerReport(FreezerRequestID(number: Int(random.oddNumber())), news)
    }

    private func moment(_ random: inout SplitMix64) -> Moment { Moment(nanoseconds: random.oddNumber()) }

    func check(_ input: FuzzInput) throws -> Verdict {
        let command = FreezerCommand(packet: input.bytes)
        let report = FreezerReport(packet: input.bytes)
        if let command { try require(command.packet == input.bytes, "a command is not its packet") }
        if let report {
            try require(FreezerReport(packet: report.packet) == report, "a report does not come back")
            switch report.news {
            case .froze(let index, _, _, _), .thawed(let index, _, _, _):
                try require(index >= 0, "an index below 0")
            default: break
            }
        }
        switch command {
        case .prepare(_, let count): try require(count >= 0, "a count below 0")
        case .descriptors(let first): try require(first >= 0, "an index below 0")
        default: break
        }
        try require(!input.isValid || command != nil || report != nil, "what the product sends is not understood")
        return command == nil && report == nil ? .refused : .accepted
    }
}
