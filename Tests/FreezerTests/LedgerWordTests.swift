import FreezerProtocol
import Glibc
import LinuxCalls
import Testing

/// The word that says who froze what: nothing of it may get lost on the way through 64 bits.
@Suite struct LedgerWordTests {
    /// PID_MAX_LIMIT of include/linux/threads.h is 4 Mi: the largest id is one less.
    static let processes: [ProcessIdentity] = [0, 1, 4711, 0x3F_FFFF].flatMap { processID in
        [0, 1, 123_456_789, 0x3_FFFF_FFFF].map {
            ProcessIdentity(processID: processID, startTicks: $0)
        }
    }

    @Test(arguments: SuperblockState.allCases)
    func `state and process come back out of a word`(state: SuperblockState) {
        for process in Self.processes {
            let word = LedgerWord(state, by: process)
            #expect(word.state == state)
            #expect(word.process == process)
            #expect(LedgerWord(rawValue: word.rawValue) == word)
        }
    }

    @Test func `no two words are the same`() {
        let words = SuperblockState.allCases.flatMap { state in Self.processes.map { LedgerWord(state, by: $0) } }
        #expect(Set(words).count == SuperblockState.allCases.count * Self.processes.count)
    }

    @Test func `five years of uptime wrap in both words that are compared`() {
        let late = ProcessIdentity(processID: 42, startTicks: 0x3_FFFF_FFFF + 18)
        #expect(LedgerWord(.frozen, by: late).process == late.asStored)
        #expect(LedgerWord(.frozen, by: late).state == .frozen)
        #expect(late.asStored.asStored == late.asStored)
    }

    @Test(arguments: [0, 7, 0xFF])
    func `a word of no state of ours has none`(state: UInt64) {
        #expect(LedgerWord(rawValue: state << 56 | 0xFF_FFFF).state == nil)
    }

    @Test func `only planned, thawed and refused leave nothing behind`() {
        #expect(Set(SuperblockState.allCases.filter(\.isSettled)) == [.planned, .thawed, .refused])
    }

    @Test func `a life of a process is alive, another of the same id is not`() throws {
        let me = ProcessIdentity.current
        #expect(me.isAlive && me.asStored.isAlive)
        #expect(!ProcessIdentity(processID: me.processID, startTicks: me.startTicks + 1).isAlive)
        #expect(!ProcessIdentity(processID: 0, startTicks: 0).isAlive)
    }
}
