import SystemPackage

@testable import LinuxCalls

/// `/proc/PID/stat`: any user chooses the name of his process.
struct ProcessRecordFuzz: ParserFuzz {
    static let name = "process"
    static let sources = ["LinuxCalls/ProcessRecord.swift"]

    private let mutation = Mutation([")", "(", ") R 1 ", "Z", "-1", "18446744073709551616"])

    func makeInput(_ random: inout SplitMix64) -> FuzzInput {
        let command = random.one(of: ["sh", "a b", "x) R 1 (", ")", "((", "", "ü", "\n", "\u{1B}["])
        let state = random.one(of: ["R", "S", "D", "Z", "X", "T", "I"])
        let fields = (0..<40).map { $0 < 15 ? "\(random.below(1 << 22))" : "\(random.next())" }
        let line = "\(random.below(1 << 22)) (\(command)) \(state) " + fields.joined(separator: " ") + "\n"
        return random.oneIn(3)
            ? FuzzInput(Array(line.utf8), isValid: true) : FuzzInput(mutation.mutated(Array(line.utf8), &random))
    }

    func check(_ input: FuzzInput) throws -> Verdict {
        guard let record = ProcessRecord(parsing: input.bytes) else {
            try require(!input.isValid, "what the kernel writes is not understood")
            return .refused
        }
        // Counted from the end, which nobody but the kernel writes.
        if input.isValid {
            let fields = String(decoding: input.bytes, as: UTF8.self).split(separator: " ")
            try require(fields.suffix(41).first?.first == record.state, "another state than the kernel wrote")
            try require(fields.suffix(41).dropFirst(2).first == "\(record.group)", "another group")
            try require(fields.suffix(41).dropFirst(19).first == "\(record.startTicks)", "another start")
        }
        // Whatever number it is, there is such a process or not.
        if record.startTicks.isMultiple(of: 64), let other = try ProcessRecord.read(record.group) {
            try require(other.group >= 0, "a group below 0")
        }
        try require(record.isAlive == !["Z", "X"].contains(record.state), "neither alive nor dead")
        return .accepted
    }
}
