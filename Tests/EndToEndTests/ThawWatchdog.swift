import Foundation
import Synchronization
import SystemPackage
import Testing

/// Thaws every scratch filesystem when a test takes too long, so that a bug costs one test and not the run.
///
/// From threads of its own, through descriptors opened before any freeze: it opens no path, starts no process, and
/// needs nothing from the product.
final class ThawWatchdog: Sendable {
    private static let watched = Mutex<[CInt: String]>([:])

    /// Has every watchdog thaw the filesystem the descriptor lies on, until `unwatch`.
    static func watch(_ descriptor: FileDescriptor, named name: String) {
        watched.withLock { $0[descriptor.rawValue] = name }
    }

    /// To be called before the descriptor is closed.
    static func unwatch(_ descriptor: FileDescriptor) {
        _ = watched.withLock { $0.removeValue(forKey: descriptor.rawValue) }
    }

    /// The world's own root, which the product freezes too. Only ever asked for in a scratch world.
    static let isRootWatched: Bool = {
        guard let root = try? FileDescriptor.open("/", .readOnly, options: [.closeOnExec, .directory]) else {
            return false
        }
        watch(root, named: "/")
        return true
    }()

    /// The watchdog of the test that runs in this task.
    @TaskLocal static var current: ThawWatchdog?

    private let limit: Duration
    private let condition = NSCondition()
    private let state: Mutex<(ended: Bool, barked: Bool, deadline: ContinuousClock.Instant)>

    /// Starts to watch.
    init(over name: String, after limit: Duration) {
        self.limit = limit
        state = Mutex((false, false, .now + limit))
        Thread.detachNewThread { [self] in
            while !waitForEnd() {
                state.withLock { $0.barked = true }
                var standardError = StandardError()
                let stuck = Self.watched.withLock { $0 }
                print(
                    "WATCHDOG: \(name) is stuck after \(limit). Thawing \(stuck.values.sorted())",
                    to: &standardError)
                for descriptor in stuck.keys {
                    // A FITHAW blocks while a freeze is in progress: it must not hold up the others.
                    Thread.detachNewThread { _ = ioctl(descriptor, Self.thawRequest, 0) }
                }
                // A freeze that is stuck now can still come true later: again, until the test has ended.
                state.withLock { $0.deadline = .now + .seconds(1) }
            }
        }
    }

    /// Gives a test that repeats the same requests the whole limit for the next of them.
    func restart() {
        state.withLock { if !$0.barked { $0.deadline = .now + limit } }
    }

    /// Stops watching; whether it had to thaw.
    func end() -> Bool {
        condition.lock()
        defer { condition.unlock() }
        condition.signal()
        return state.withLock {
            $0.ended = true
            return $0.barked
        }
    }

    /// Whether the test has ended before the deadline.
    private func waitForEnd() -> Bool {
        condition.lock()
        defer { condition.unlock() }
        while true {
            let (isEnded, _, deadline) = state.withLock { $0 }
            if isEnded { return true }
            let rest = deadline - .now
            if rest <= .zero { return false }
            _ = condition.wait(until: Date(timeIntervalSinceNow: rest / .seconds(1)))
        }
    }

    /// FITHAW, `_IOWR('X', 120, int)` of `<linux/fs.h>`: Swift does not import function-like macros.
    static let thawRequest: UInt = 0xC004_5878
}

/// Gives each test a watchdog, and fails the test that made it bark.
struct ThawWatchdogTrait: SuiteTrait, TestTrait, TestScoping {
    let limit: Duration
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let watchdog = ThawWatchdog(over: test.name, after: limit)
        defer {
            if watchdog.end() { Issue.record("stuck: the watchdog had to thaw after \(limit)") }
        }
        try await ThawWatchdog.$current.withValue(watchdog) { try await function() }
    }
}

extension Trait where Self == ThawWatchdogTrait {
    /// Thaws all scratch filesystems, and fails the test, when a single test takes longer than this.
    static func thawWatchdog(after limit: Duration) -> Self { ThawWatchdogTrait(limit: limit) }
}

/// Unbuffered: what a stuck test says must be seen.
struct StandardError: TextOutputStream {
    func write(_ string: String) { FileHandle.standardError.write(Data(string.utf8)) }
}
