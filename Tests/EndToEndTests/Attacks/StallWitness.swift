import Foundation
import FreezeCore
import LinuxCalls
import SystemPackage

/// Writes to a file all the time, and keeps the duration of the longest write: the time that an application waits.
final class StallWitness: Sendable {
    private let longestWrite = Monitor(Duration.zero)
    private let isWanted = Monitor(true)
    private let end = ThreadSemaphore()

    /// - Parameter directory: on the filesystem.
    init(on directory: FilePath) throws {
        let file = try FileDescriptor.open(
            directory.appending("stalled"), .writeOnly, options: [.create, .closeOnExec],
            permissions: .ownerReadWrite)
        try OperatingSystemThread.start("stall witness") { [self] in
            var number: UInt64 = 0
            while isWanted.update({ $0 }) {
                number += 1
                let began = Moment.now
                pwrite(file.rawValue, &number, MemoryLayout.size(ofValue: number), 0)
                let duration = Moment.now - began
                longestWrite.update { $0 = max($0, duration) }
                usleep(200)
            }
            try? file.close()
            end.signal()
        }
    }

    /// The longest write that ended since the previous call.
    func longest() -> Duration {
        longestWrite.update { longest in
            defer { longest = .zero }
            return longest
        }
    }

    /// The filesystem must not be frozen any more.
    func stop() {
        isWanted.update { $0 = false }
        end.wait()
    }
}
