import Glibc
import Synchronization
import Testing

// Each test target that needs this has a link to it: a target of its own would be built for release too, with the
// static standard library, which has no Testing.

/// What a test needs and a machine may lack: without it the test is not run, which is said on standard error too.
/// With CI=true it fails instead: there, what is not tested must not look as if it were.
extension Trait where Self == ConditionTrait {
    /// - Parameter subject: What is not tested without root.
    static func needsRoot(toTest subject: String) -> Self {
        .needs("root", toTest: subject) { geteuid() == 0 }
    }

    /// - Parameters:
    ///   - thing: What is needed.
    ///   - subject: What is not tested without it.
    ///   - failsInCI: False for what a machine that is good enough for CI may lack.
    ///   - isThere: Whether this machine has it.
    static func needs(
        _ thing: String, toTest subject: String, failsInCI: Bool = true, _ isThere: @escaping @Sendable () -> Bool
    ) -> Self {
        .enabled("NOT TESTED: \(subject): it needs \(thing)") {
            if isThere() { return true }
            let missing = Missing(thing: thing, subject: subject)
            if failsInCI, getenv("CI").map({ String(cString: $0) }) == "true" { throw missing }
            missing.sayOnce()
            return false
        }
    }
}

/// Why a test cannot be run on this machine.
struct Missing: Error, Hashable, CustomStringConvertible {
    let thing: String
    let subject: String

    var description: String { "NOT TESTED: \(subject): it needs \(thing)" }

    private static let said = Mutex<Set<Missing>>([])

    /// A suite's condition is asked for each of its tests.
    fileprivate func sayOnce() {
        guard Self.said.withLock({ $0.insert(self).inserted }) else { return }
        let line = Array("*** \(self) ***\n".utf8)
        write(STDERR_FILENO, line, line.count)
    }
}
