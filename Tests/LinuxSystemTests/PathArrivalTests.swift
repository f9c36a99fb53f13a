import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@Suite struct PathArrivalTests {
    /// The directory is made while the watch is set up, and the file in it a moment later: at whatever step of the one the
    /// other happens, the file is found. Nearly all of a round is the kernel's end of a watch, so many run at once.
    @Test func `a path whose directory comes just now is not missed`() async throws {
        try await withThrowingTaskGroup { group in
            for _ in 0..<8 {
                group.addTask { try await blocking { for round in 0..<500 { try Self.race(round) } } }
            }
            try await group.waitForAll()
        }
    }

    private static func race(_ round: Int) throws {
        let directory = try TemporaryDirectory()
        let parent = directory.path.appending("vmbus")
        let path = parent.appending("hv_vss")
        try OperatingSystemThread.start("maker") {
            mkdir(parent.string, 0o755)
            spin(.microseconds(30))
            symlink("/", path.string)
        }
        spin(.microseconds(round % 100))
        let arrival = try PathArrival(at: path)
        while access(path.string, F_OK) != 0 {
            guard !pollOne(arrival.descriptor, events: .readable, atMost: .seconds(20)).isEmpty else {
                throw Missed(round: round)
            }
            _ = try arrival.hasComeNearer()
        }
        unlink(path.string)
    }

    private struct Missed: Error {
        let round: Int
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
