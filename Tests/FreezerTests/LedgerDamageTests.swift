import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import FreezerProtocol

/// A ledger is read when everything else has gone wrong: damage must be refused, never followed.
@Suite struct LedgerDamageTests {
    private let scratch: LedgerScratch
    private let intact: [UInt8]

    init() throws {
        scratch = try LedgerScratch()
        let directory = try scratch.runDirectory()
        _ = try directory.createLedger(.sample(superblocks: 5))
        intact = try readWholeFile(directory.ledgerPath)
    }

    private func isRefused(_ bytes: [UInt8]) throws -> Bool {
        do {
            try exercise(scratch.ledger(of: bytes))
            return false
        } catch let error as LedgerError {
            #expect(error.code == .malformed)
            #expect(error.remedy?.contains("fsfreeze -u") == true)
            return true
        }
    }

    /// Everything a guard does with a ledger.
    private func exercise(_ ledger: Ledger) throws {
        _ = ledger.daemon.asStored
        _ = ledger.freezer
        _ = ledger.hooksOwedThaw
        for index in ledger.superblocks.indices {
            _ = ledger.superblocks[index].mountPoint.escaped
            let word = ledger.word(index)
            _ = ledger.advance(index, from: word, to: LedgerWord(.thawed, by: .current))
        }
        for index in ledger.hooks.indices { ledger.setHookProgress(index, .finished) }
        ledger.setFreezer(.current)
        #expect(ledger.unsettled.isEmpty && ledger.hooksOwedThaw.isEmpty)
    }

    @Test func `the intact one is accepted`() throws {
        #expect(try !isRefused(intact))
    }

    @Test func `every truncation is refused`() throws {
        for length in 0..<intact.count { #expect(try isRefused(Array(intact[..<length])), "\(length) bytes") }
    }

    @Test func `one that is longer than it says is refused`() throws {
        #expect(try isRefused(intact + [UInt8](repeating: 0, count: 8)))
    }

    /// Of the header: magic, size, counts, and where the texts are.
    static let offsets = [0, 8, 32, 40, 48, 56, 64, 72, 80, 88]
    static let farAway: [UInt64] = [.max, UInt64(Int.max), 1 << 62, 1 << 40, 100_000]

    @Test(arguments: offsets, farAway)
    func `a header that points outside is refused`(offset: Int, value: UInt64) throws {
        #expect(try isRefused(replacing(offset, with: value)))
    }

    @Test(arguments: [0, 7 << 56, .max] as [UInt64])
    func `P1 a superblock in a state that no guard has written is not settled`(word: UInt64) throws {
        let offset = LedgerLayout.superblock(0) + LedgerLayout.Superblock.word
        let ledger = try scratch.ledger(of: replacing(offset, with: word))
        #expect(ledger.word(0).state == nil && ledger.unsettled.contains(0))
    }

    @Test func `a mount point with a null byte in it is refused`() throws {
        let first = try #require(intact.firstRange(of: Array("/mnt/".utf8))?.lowerBound)
        var bytes = intact
        bytes[first + 2] = 0
        #expect(try isRefused(bytes))
    }

    private func replacing(_ offset: Int, with value: UInt64) -> [UInt8] {
        var bytes = intact
        withUnsafeBytes(of: value) { bytes.replaceSubrange(offset..<(offset + 8), with: $0) }
        return bytes
    }

    @Test(arguments: [1, 2, 3, 4])
    func `thousands of damaged ones are refused or safe to use`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var refused = 0
        let rounds = 2000
        for _ in 0..<rounds {
            var bytes = intact
            for _ in 0...Int.random(in: 0..<4, using: &random) {
                damage(&bytes, &random)
            }
            if try isRefused(bytes) { refused += 1 }
        }
        // Both happen, or the test tests nothing.
        #expect(refused > rounds / 10 && refused < rounds)
    }

    /// Flips a bit, overwrites a byte or a number, or copies a piece to another place.
    private func damage(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[place] = .random(in: 0...255, using: &random)
        case 2:
            let values = [0, 1, UInt64(bytes.count), .max, UInt64(Int.max), random.next()]
            let word = place / 8 * 8
            withUnsafeBytes(of: values.randomElement(using: &random) ?? 0) {
                bytes.replaceSubrange(word..<(word + 8), with: $0)
            }
        default:
            let count = min(Int.random(in: 1..<40, using: &random), bytes.count - place)
            let target = Int.random(in: 0...(bytes.count - count), using: &random)
            bytes.replaceSubrange(target..<(target + count), with: Array(bytes[place..<(place + count)]))
        }
    }

    @Test func `noise is refused`() throws {
        var random = SeededGenerator(seed: 5)
        for _ in 0..<2000 {
            let length = Int.random(in: 1..<400, using: &random)
            #expect(try isRefused((0..<length).map { _ in .random(in: 0...255, using: &random) }))
        }
    }
}
