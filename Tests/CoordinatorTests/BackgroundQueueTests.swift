import LinuxCalls
import Synchronization
import Testing

@testable import Coordinator

/// What writes the log and the history: in order, not while held, and never in the way of who adds to it.
@Suite struct BackgroundQueueTests {
    private static let patience = Duration.seconds(10)

    /// What jobs have written, and what was dropped.
    private final class Paper: Sendable {
        let lines = Mutex<[Int]>([])
        let dropped = Mutex(0)
        let gate = ThreadSemaphore()

        var written: [Int] { lines.withLock { $0 } }
        var droppedCount: Int { dropped.withLock { $0 } }
    }

    @Test func `jobs are done in the order in which they came`() throws {
        let paper = Paper()
        let queue = try BackgroundQueue("test")
        for number in 0..<1000 { queue.add(.writes) { paper.lines.withLock { $0.append(number) } } }
        #expect(queue.drain(atMost: Self.patience))
        #expect(paper.written == Array(0..<1000))
    }

    @Test func `P7 nothing is begun while held, and nothing is lost`() throws {
        let paper = Paper()
        let queue = try BackgroundQueue("test")
        queue.set(.everything)
        for number in 0..<10 { queue.add(.writes) { paper.lines.withLock { $0.append(number) } } }
        #expect(!queue.drain(atMost: .milliseconds(100)))
        #expect(paper.written.isEmpty)
        queue.set(.nothing)
        #expect(queue.drain(atMost: Self.patience))
        #expect(paper.written == Array(0..<10))
    }

    @Test func `P7 P9 while writes are held reading goes on`() throws {
        let paper = Paper()
        let queue = try BackgroundQueue("test")
        queue.set(.writes)
        let isRead = try WakeUp()
        queue.add(.writes) { paper.lines.withLock { $0.append(1) } }
        queue.add(.reads) { isRead.signal() }
        #expect(!pollOne(isRead.descriptor, events: .readable, atMost: Self.patience).isEmpty)
        #expect(paper.written.isEmpty)
        queue.set(.nothing)
        #expect(queue.drain(atMost: Self.patience))
        #expect(paper.written == [1])
    }

    @Test func `P9 a job that hangs holds up nobody who adds, and what did not fit is counted`() throws {
        let paper = Paper()
        let queue = try BackgroundQueue("test") { dropped in paper.dropped.withLock { $0 += dropped } }
        queue.add(.writes) { paper.gate.wait() }
        let added = 12_000
        for number in 0..<added { queue.add(.writes) { paper.lines.withLock { $0.append(number) } } }
        #expect(!queue.drain(atMost: .zero))
        paper.gate.signal()
        // What is added from now on fits again; the last of it comes after all the others.
        let end = try WakeUp()
        var isHeard = false
        for _ in 0..<1000 where !isHeard {
            queue.add(.writes) { end.signal() }
            isHeard = !pollOne(end.descriptor, events: .readable, atMost: .milliseconds(20)).isEmpty
        }
        #expect(isHeard)
        let written = paper.written.count
        // The drain that was given up, and the first of the ends, may be among the dropped.
        #expect(written < added && written + paper.droppedCount >= added)
    }
}
