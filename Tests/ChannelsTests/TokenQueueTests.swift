import FreezeCore
import Testing

@testable import Channels

struct TokenQueueTests {
    private static func moment(_ milliseconds: Int64) -> Moment { Moment(nanoseconds: milliseconds * 1_000_000) }

    @Test func `tokens are compared in order, without a pause while none is wrong`() {
        var queue = TokenQueue<String>()
        #expect(queue.due == nil)
        for name in ["a", "b", "c"] { queue.add(name) }
        #expect(queue.due.map { $0 <= Self.moment(5) } == true)
        #expect((0..<4).map { _ in queue.takeDue(at: Self.moment(5)) } == ["a", "b", "c", nil])
        #expect(queue.due == nil)
    }

    @Test func `after each wrong token the pause is longer, up to the longest`() {
        var queue = TokenQueue<Int>()
        var now: Int64 = 1000
        var pauses: [Int64] = []
        for number in 0..<6 {
            queue.add(number)
            #expect(queue.takeDue(at: Self.moment(now)) == number)
            queue.noteWrong(at: Self.moment(now))
            queue.add(-1)
            let due = queue.due?.nanoseconds ?? 0
            queue.remove { $0 == -1 }
            pauses.append(due / 1_000_000 - now)
            #expect(queue.takeDue(at: Moment(nanoseconds: due - 1)) == nil)
            now = due / 1_000_000
        }
        #expect(pauses == [250, 500, 1000, 2000, 2000, 2000])
        // Two minutes without a wrong token.
        now += 120_000
        queue.add(7)
        #expect(queue.takeDue(at: Self.moment(now)) == 7)
        queue.noteWrong(at: Self.moment(now))
        queue.add(8)
        #expect(queue.due == Self.moment(now + 250))
    }

    @Test func `in an hour fewer than two thousand tokens are tried, however many connections try`() {
        var queue = TokenQueue<Int>()
        var (now, tried) = (Self.moment(0), 0)
        while now < Self.moment(3_600_000) {
            for number in 0..<16 { queue.add(number) }
            while queue.takeDue(at: now) != nil {
                tried += 1
                queue.noteWrong(at: now)
            }
            now = queue.due ?? now
            queue.remove { _ in true }
        }
        #expect(tried > 1000 && tried < 2000)
    }

    @Test func `a connection that has gone is not compared`() {
        var queue = TokenQueue<String>()
        for name in ["a", "b"] { queue.add(name) }
        queue.remove { $0 == "a" }
        #expect(queue.takeDue(at: Self.moment(5)) == "b")
    }
}
