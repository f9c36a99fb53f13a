import FreezeCore
import Testing

/// What was unwritten is quoted where it may be the cause.
@Suite struct DirtyMemoryTests {
    private static let much = DirtyMemory(dirty: 3 << 30, writeback: 200 << 20)

    @Test func `the numbers are read from meminfo`() {
        let text =
            "MemTotal:  16 kB\nDirty:            131072 kB\nWriteback:          2048 kB\nWritebackTmp: 9 kB\n"
        #expect(DirtyMemory(meminfo: text) == DirtyMemory(dirty: 128 << 20, writeback: 2 << 20))
        for text in ["", "Dirty: 1 kB\n", "Dirty: x kB\nWriteback: 1 kB\n"] {
            #expect(DirtyMemory(meminfo: text) == nil)
        }
    }

    @Test func `a flush that takes too long quotes what was unwritten, and names vm.dirty_bytes`() {
        var (bench, _) = WindowTests.bench(in: .flushing)
        #expect(bench.machine.quotesMemory)
        bench.send(.timePassed(DeadlineFindings(memory: Self.much)), after: .seconds(60))
        let reason = bench.lastRecord?.reason ?? ""
        #expect(
            reason.contains("Dirty 3072 MiB, Writeback 200 MiB") && reason.contains("vm.dirty_bytes"), "\(reason)")
    }

    @Test(arguments: [Self.much, DirtyMemory(dirty: 1 << 20, writeback: 0)])
    func `a freeze that takes too long quotes what was unwritten, if that is much`(memory: DirtyMemory) {
        var (bench, _) = WindowTests.bench(in: .checking)
        let pending = bench.effects
        bench.send(.memoryRead(memory))
        bench.effects = pending
        bench.goOn(to: .freezing)
        bench.waitForDeadline()
        bench.end(running: nil)
        let reason = bench.lastRecord?.reason ?? ""
        #expect(reason.contains("not frozen within freeze.timeout"))
        #expect(reason.contains("vm.dirty_bytes") == (memory == Self.much), "\(reason)")
    }
}
