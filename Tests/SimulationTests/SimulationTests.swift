import FreezeCore
import Glibc
import Testing

@Suite("Simulation")
struct SimulationTests {
    /// `QUIESCE_SIMULATION_SCHEDULES=1000000` for a long search; `QUIESCE_SIMULATION_SEED=…` to play one again.
    @Test("P1–P9 hold on every random schedule of faults")
    func promises() async {
        if let seed = setting("QUIESCE_SIMULATION_SEED") {
            if let report = Self.report(of: seed, always: true) { print(report) }
            let simulation = Simulation(seed: seed)
            simulation.run()
            #expect(simulation.violation == nil)
            return
        }
        let schedules = setting("QUIESCE_SIMULATION_SCHEDULES") ?? 200_000
        let first = setting("QUIESCE_SIMULATION_FIRST") ?? 1
        let workers: UInt64 = 4
        let clock = ContinuousClock()
        let began = clock.now
        var coverage = Coverage()
        var failures: [(seed: UInt64, violation: String)] = []
        await withTaskGroup(of: (Coverage, [(seed: UInt64, violation: String)]).self) { group in
            for worker in 0..<workers {
                group.addTask { Self.play(stride(from: first + worker, to: first + schedules, by: Int(workers))) }
            }
            for await (part, failed) in group {
                coverage.add(part)
                failures += failed
            }
        }
        print("simulation: \(schedules) schedules, \(coverage.events) events, in \(clock.now - began)")
        // The first of each kind; the others are no wiser.
        var kinds: Set<String> = []
        for (seed, violation) in failures.sorted(by: { $0.seed < $1.seed })
        where kinds.insert(String(violation.prefix { $0 != "[" }.filter { !$0.isNumber })).inserted {
            Issue.record("\(Self.report(of: seed, always: false) ?? "seed \(seed) fails only sometimes")")
        }
        if setting("QUIESCE_SIMULATION_VERBOSE") != nil { print(coverage) }
        guard failures.isEmpty, schedules >= 200_000 else { return }
        coverage.expectEverythingCameUp()
    }

    private static func play(_ seeds: StrideTo<UInt64>) -> (Coverage, [(seed: UInt64, violation: String)]) {
        var coverage = Coverage()
        var failures: [(seed: UInt64, violation: String)] = []
        for seed in seeds {
            let simulation = Simulation(seed: seed)
            simulation.run()
            coverage.add(simulation.coverage)
            if let violation = simulation.violation { failures.append((seed, violation)) }
            if failures.count >= 20 { break }
        }
        return (coverage, failures)
    }

    /// Plays it again, with the schedule written down.
    private static func report(of seed: UInt64, always: Bool) -> String? {
        let simulation = Simulation(seed: seed, isTraced: true)
        simulation.run()
        guard always || simulation.violation != nil else { return nil }
        // The end is what tells most; played by its seed, all of it is printed.
        let schedule = (simulation.trace ?? []).suffix(always ? .max : 120).joined(separator: "\n")
        let name = "QUIESCE_SIMULATION_SEED=\(seed): \(simulation.violation ?? "fine")"
        return "\(name)\n\(schedule)\n\(name)"
    }

    private func setting(_ name: String) -> UInt64? {
        getenv(name).flatMap { UInt64(String(cString: $0)) }
    }
}
