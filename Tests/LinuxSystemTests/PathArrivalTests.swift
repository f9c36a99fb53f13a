import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@Suite struct PathArrivalTests {
    /// The directory is made while the watch is set up, and the file in it a moment later: at whatever step of the one the
    /// other happens, the file is found.
    @Test func `a path whose directory comes just now is not missed`() throws {
        for round in 0..<1_500 {
            let directory = try TemporaryDirectory()
            let parent = directory.path.appending("vmbus")
            let path = parent.appending("hv_vss")
            try OperatingSystemThread.start("maker") {
                mkdir(parent.string, 0o755)
                Self.spin(.microseconds(30))
                symlink("/", path.string)
            }
            Self.spin(.microseconds(round % 100))
            let arrival = try PathArrival(at: path)
            let deadline = Moment.now + .seconds(20)
            while access(path.string, F_OK) != 0 {
                let events = pollDescriptors([(arrival.descriptor, .readable)], until: deadline)[0]
                guard !events.isEmpty else {
                    Issue.record("round \(round): nothing was told")
                    return
                }
                _ = try arrival.hasComeNearer()
            }
            unlink(path.string)
        }
    }

    @Test func `below a file nothing comes until the file has gone`() throws {
        let directory = try TemporaryDirectory()
        let parent = directory.path.appending("vmbus")
        close(open(parent.string, O_CREAT | O_WRONLY, 0o644))
        let arrival = try PathArrival(at: parent.appending("hv_vss"))
        #expect(pollOne(arrival.descriptor, events: .readable, atMost: .zero).isEmpty)
        unlink(parent.string)
        mkdir(parent.string, 0o755)
        #expect(try arrival.hasComeNearer())
        symlink("/", parent.appending("hv_vss").string)
        #expect(try arrival.hasComeNearer())
        unlink(parent.appending("hv_vss").string)
    }

    private static func spin(_ duration: Duration) {
        let end = Moment.now + duration
        while Moment.now < end {}
    }
}
