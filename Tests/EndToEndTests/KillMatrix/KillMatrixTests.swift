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

        private func play(_ injury: KillInjury, _ places: [KillPlace]) throws {
            let scene = try KillScene()
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
