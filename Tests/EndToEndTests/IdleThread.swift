import Foundation

/// What the threads of a process wait for, as the kernel tells it (proc_pid_syscall(5)).
enum IdleThread {
    /// Waits until nothing will be done for two seconds on end, at every look: a timer of one second is not armed for the
    /// moment in which it is dealt with. Gives what was seen last if the time runs out.
    static func busyUntilIdle(_ process: pid_t, within limit: Duration) throws -> [String] {
        let deadline = ContinuousClock.now + limit
        var (lastBusy, since) = (["nothing yet"], ContinuousClock.now)
        while ContinuousClock.now - since < .seconds(2) {
            guard ContinuousClock.now < deadline else { return lastBusy }
            usleep(20_000)
            let busy = try waitingWithLimit(process)
            if !busy.isEmpty { (lastBusy, since) = (busy, .now) }
        }
        return []
    }

    /// The threads and timers that will do something although nothing happens, each in words. None: it is idle.
    private static func waitingWithLimit(_ process: pid_t) throws -> [String] {
        let tasks = "/proc/\(process)/task"
        let threads = try FileManager.default.contentsOfDirectory(atPath: tasks).compactMap { thread -> String? in
            // One that has ended meanwhile does nothing any more.
            guard let call = try? String(contentsOfFile: "\(tasks)/\(thread)/syscall", encoding: .utf8),
                let name = try? String(contentsOfFile: "\(tasks)/\(thread)/comm", encoding: .utf8)
            else { return nil }
            let words = call.split(whereSeparator: \.isWhitespace)
            let isForEver = Int(words[0]).map { number in
                let arguments = words.dropFirst().prefix(6).map { UInt64($0.dropFirst(2), radix: 16) ?? 1 }
                return self.isForEver(number, arguments)
            }
            return isForEver == true ? nil : "\(name.dropLast()): \(call.dropLast())"
        }
        return threads + (try armedTimers(process))
    }

    /// How a system call that waits says that it does so without a limit.
    private enum Limit {
        /// It has none.
        case none
        /// Milliseconds in this argument, negative for none.
        case milliseconds(Int)
        /// A pointer in this argument, null for none.
        case pointer(Int)
    }

    /// By the numbers of <asm/unistd.h>.
    #if arch(x86_64)
        private static let limits: [Int: Limit] = [
            0: .none, 7: .milliseconds(2), 47: .none, 61: .none, 128: .pointer(2), 202: .pointer(3),
            232: .milliseconds(3), 247: .none, 271: .pointer(2), 281: .milliseconds(3),
        ]
    #else
        private static let limits: [Int: Limit] = [
            22: .milliseconds(3), 63: .none, 73: .pointer(2), 95: .none, 98: .pointer(3), 137: .pointer(2),
            212: .none,
            260: .none,
        ]
    #endif

    private static func isForEver(_ number: Int, _ arguments: [UInt64]) -> Bool {
        switch limits[number] {
        case .none?: true
        case .milliseconds(let place): Int32(truncatingIfNeeded: arguments[place]) < 0
        case .pointer(let place): arguments[place] == 0
        case nil: false
        }
    }

    private static func armedTimers(_ process: pid_t) throws -> [String] {
        let directory = "/proc/\(process)/fdinfo"
        return try FileManager.default.contentsOfDirectory(atPath: directory).compactMap { number in
            let text = try? String(contentsOfFile: "\(directory)/\(number)", encoding: .utf8)
            let value = text?.split(separator: "\n").first { $0.hasPrefix("it_value:") }
            return value.flatMap { $0 == "it_value: (0, 0)" ? nil : "timer \(number): \($0)" }
        }
    }
}
