import FreezeCore
import LinuxCalls
import Synchronization
import SystemPackage

/// A device and the node it is opened through.
struct DeviceNode: Hashable, Sendable {
    let device: DeviceNumber
    let path: FilePath
}

/// Asks devices with a deadline, and remembers in the whole process which still owe an answer: a dead disk costs one
/// thread, not one for every plan that is made.
enum HangingProbes {
    private static let abandoned = Mutex<Set<DeviceNumber>>([])

    static var devices: Set<DeviceNumber> { abandoned.withLock { $0 } }

    /// Asks all at once.
    ///
    /// - Returns: the answers, in order; nil for a device that did not answer in time.
    static func run<Answer: Sendable>(
        _ nodes: [DeviceNode], within deadline: Duration, ask: @escaping @Sendable (DeviceNode) -> Answer
    ) -> [Answer?] {
        let attempts = nodes.map { Attempt(device: $0.device) }
        let work = zip(nodes, attempts).map { node, attempt in
            { @Sendable () -> Answer in
                defer { attempt.finish() }
                return ask(node)
            }
        }
        let answers = AbandonableWork.run(work, until: Moment.now + deadline)
        for (attempt, answer) in zip(attempts, answers) where answer == nil { attempt.abandon() }
        return answers
    }

    private final class Attempt: Sendable {
        private let device: DeviceNumber
        private let isFinished = Mutex(false)

        init(device: DeviceNumber) { self.device = device }

        /// Both under one lock, so that an answer in the last moment is not remembered as missing for ever.
        func abandon() {
            isFinished.withLock { isFinished in
                if !isFinished { HangingProbes.abandoned.withLock { _ = $0.insert(device) } }
            }
        }

        func finish() {
            isFinished.withLock { isFinished in
                isFinished = true
                HangingProbes.abandoned.withLock { _ = $0.remove(device) }
            }
        }
    }
}
