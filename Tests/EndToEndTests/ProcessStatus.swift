import Foundation

/// What /proc tells of a process.
enum ProcessStatus {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    static func number(_ field: String, of process: pid_t, thread: String? = nil) throws -> Int {
        let task = thread.map { "/task/\($0)" } ?? ""
        let text = try String(contentsOfFile: "/proc/\(process)\(task)/status", encoding: .utf8)
        let line = text.split(separator: "\n").first { $0.hasPrefix("\(field):") }
        guard let words = line?.split(whereSeparator: \.isWhitespace), words.count > 1, let number = Int(words[1])
        else { throw Failure(description: "no number \(field) in \(text)") }
        return number
    }

    /// How many descriptors it has open.
    static func descriptors(of process: pid_t) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd").count
    }

    /// What it has open, sorted; without the numbers by which the kernel tells sockets and processes apart.
    static func openFiles(of process: pid_t) throws -> [String] {
        let directory = "/proc/\(process)/fd"
        return try FileManager.default.contentsOfDirectory(atPath: directory).compactMap { number in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/\(number)")
            return target.map { target in
                let isNumbered = ["socket:", "pipe:", "/proc/"].contains { target.hasPrefix($0) }
                return isNumbered ? target.filter { !$0.isNumber } : target
            }
        }.sorted()
    }

    /// How many descriptors it has open once that has not changed for a while: what a request used is closed by
    /// several threads after the answer.
    static func settled(of process: pid_t, within limit: Duration = .seconds(5)) throws -> Int {
        let deadline = ContinuousClock.now + limit
        var (count, since) = (try descriptors(of: process), ContinuousClock.now)
        while ContinuousClock.now - since < .milliseconds(300) {
            guard ContinuousClock.now < deadline else {
                throw Failure(description: "process \(process) goes on opening and closing")
            }
            usleep(10_000)
            let now = try descriptors(of: process)
            if now != count { (count, since) = (now, ContinuousClock.now) }
        }
        return count
    }

    /// Waits until it has so many descriptors open; false if the time ran out.
    static func waitForDescriptors(_ count: Int, of process: pid_t, within limit: Duration = .seconds(5)) throws
        -> Bool
    {
        let deadline = ContinuousClock.now + limit
        while try descriptors(of: process) != count {
            if ContinuousClock.now >= deadline { return false }
            usleep(10_000)
        }
        return true
    }

    /// Waits until all of its threads but so many have ended; false if the time ran out.
    static func waitForThreads(_ count: Int, of process: pid_t, within limit: Duration = .seconds(5)) throws
        -> Bool
    {
        let deadline = ContinuousClock.now + limit
        while try number("Threads", of: process) != count {
            if ContinuousClock.now >= deadline { return false }
            // Polled, with a deadline: a thread's end tells nobody.
            usleep(1000)
        }
        return true
    }

    /// How often all of its threads together gave up the processor of their own accord, once all of them sleep:
    /// on a busy machine one that is about to may not have come to it yet.
    static func wakeUps(of process: pid_t, within limit: Duration = .seconds(5)) throws -> Int {
        let deadline = ContinuousClock.now + limit
        while true {
            let tasks = "/proc/\(process)/task"
            let threads = try FileManager.default.contentsOfDirectory(atPath: tasks)
            let areAsleep = try threads.allSatisfy {
                try String(contentsOfFile: "\(tasks)/\($0)/status", encoding: .utf8).contains("State:\tS")
            }
            let count = try threads.map { try number("voluntary_ctxt_switches", of: process, thread: $0) }
            if areAsleep { return count.reduce(0, +) }
            guard ContinuousClock.now < deadline else {
                throw Failure(description: "process \(process) does not sleep")
            }
            usleep(1000)
        }
    }
}
