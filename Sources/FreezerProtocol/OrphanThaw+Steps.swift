import FreezeCore
import LinuxCalls
import SystemPackage

extension OrphanThaw {
    /// Limit for a step, after which the next step begins.
    private static let patience = Duration.seconds(1)

    /// Thaws all superblocks of the ledger, step by step, the last frozen first; each on a separate thread.
    ///
    /// Blocks until the last step is done, or for its limit. Unfinished thaws go on.
    ///
    /// - Parameter thawOne: Thaws the superblock of this index and reports it.
    public static func inOrder(_ ledger: Ledger, _ thawOne: @escaping @Sendable (Int) -> Void) {
        let steps = Dictionary(grouping: ledger.superblocks.indices) { ledger.superblocks[$0].step }
        for (_, indices) in steps.sorted(by: { $0.key > $1.key }) {
            thawStep(indices, thawOne)
        }
    }

    private static func thawStep(_ indices: [Int], _ thawOne: @escaping @Sendable (Int) -> Void) {
        let done = try? Countdown(from: indices.count)
        var withoutThread: [Int] = []
        for index in indices {
            do throws(Errno) {
                try OperatingSystemThread.start("thaw \(index)") {
                    thawOne(index)
                    _ = done?.countDown()
                }
            } catch {
                withoutThread.append(index)
            }
        }
        // When the system has no threads to give, one after the other is better than not at all.
        for index in withoutThread {
            thawOne(index)
            _ = done?.countDown()
        }
        _ = done?.wait(until: Moment.now + patience)
    }
}
