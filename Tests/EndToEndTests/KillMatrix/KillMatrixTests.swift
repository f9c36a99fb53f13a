import Testing

/// P1 to P4 wherever in a request whoever is killed: at each state, and between any two filesystems of a level.
///
/// The processes stop by themselves at the place (`StopPoint`), and are hurt there. `KillAnyTimeTests` kills at moments
/// that nobody has thought of.
extension EndToEnd {
    @Suite struct KillMatrixTests {
        @Test(arguments: [KillInjury.killsDaemon, .killsFreezer, .killsBoth])
        func `P1 P2 P3 P4 killed while a request is prepared`(injury: KillInjury) throws {
            try play(injury, KillPlace.preparing)
        }

        @Test(arguments: [KillInjury.killsDaemon, .killsFreezer, .killsBoth])
        func `P1 P2 P3 P4 killed while filesystems are frozen, between any two`(injury: KillInjury) throws {
            try play(injury, KillPlace.freezing)
        }

        @Test(arguments: [KillInjury.killsDaemon, .killsFreezer, .killsBoth])
        func `P1 P3 P4 killed while filesystems are thawed, between any two`(injury: KillInjury) throws {
            try play(injury, KillPlace.thawing)
        }

        @Test(arguments: [KillInjury.terminates, .hangsUp])
        func `P1 P2 P3 P4 told to end in any state`(injury: KillInjury) throws {
            try play(injury, injury.places)
        }

        @Test func `P1 P2 P3 P4 stopped for longer than the window, in any state of it`() throws {
            try play(.standsStill, KillInjury.standsStill.places)
        }

        // MARK: The guest agent port

        // The freezer and the guards are the same for every channel: a place of each state for the daemon, and the places
        // where the answers differ for the other injuries.

        @Test func `P1 P2 P3 P4 the daemon is killed in any state of a request of the guest agent port`() throws {
            try play(.killsDaemon, KillPlace.ofEachState, at: .kept)
        }

        @Test(
            arguments: [
                (
                    .killsBoth,
                    ["in planning", "in flushing", "after FIFREEZE 2", "in frozen", "in thawing", "in idle"]
                ),
                (.killsFreezer, ["in flushing", "after FIFREEZE 2", "in frozen", "before FITHAW 2"]),
                (.terminates, ["in flushing", "in freezing", "in frozen", "in thawing", "in running thaw hooks"]),
                (.standsStill, ["in frozen", "in thawing"]),
            ] as [(KillInjury, [String])])
        func `P1 P2 P3 P4 other injuries in a request of the guest agent port`(
            injury: KillInjury, points: [String]
        ) throws {
            try play(injury, KillPlace.at(points), at: .kept)
        }

        @Test func `P1 P2 P3 P4 killed in a request of a guest agent port that closes with the daemon`() throws {
            try play(.killsDaemon, KillPlace.at(["in planning", "in frozen", "in thawing"]), at: .plain)
        }

        private func play(
            _ injury: KillInjury, _ places: [KillPlace], at agentPort: DaemonRig.AgentPortLife = .none
        ) throws {
            let scene = try KillScene(agentPort: agentPort)
            for place in places {
                ThawWatchdog.current?.restart()
                do {
                    try scene.play(injury, at: place)
                } catch {
                    Issue.record("\(injury), \(place): \(error)")
                    return
                }
            }
            try scene.remove()
        }
    }
}
