import Foundation
import FreezeCore
import LinuxCalls
import SystemPackage

/// Writes to a file all the time, each time down to the disk, and remembers when: what reaches the disk in a window is
/// perhaps in the snapshot. (What only reaches the page cache, between somebody's thaw and his next freeze, is not.)
final class BusyWitness: Sendable {
    private struct Write {
        let began: Moment
        let ended: Moment
    }

    private let writes = Monitor<[Write]>([])
    private let isWanted = Monitor(true)
    private let file: FileDescriptor
    private let end = DispatchSemaphore(value: 0)

    /// - Parameter directory: on the filesystem.
    init(in directory: FilePath) throws {
        file = try FileDescriptor.open(
            directory.appending("busy"), .writeOnly, options: [.create, .closeOnExec],
            permissions: .ownerReadWrite)
        try OperatingSystemThread.start("witness") { [self] in
            while isWanted.update({ $0 }) { write() }
            end.signal()
        }
    }

    private func write() {
        let began = Moment.now
        var number = began.nanoseconds
        let count = pwrite(file.rawValue, &number, MemoryLayout.size(ofValue: number), 0)
        let isOnDisk = count > 0 && fdatasync(file.rawValue) == 0
        let ended = Moment.now
        if isOnDisk { writes.update { $0.append(Write(began: began, ended: ended)) } }
        usleep(300)
    }

    /// Whether a write was begun and done between the two moments. Only such a one proves that the filesystem was not
    /// frozen: one that was done just before the first may be noticed after it.
    func hasWritten(between first: Moment, and last: Moment) -> Bool {
        writes.update { writes in
            defer { writes.removeAll { $0.ended < last } }
            return writes.contains { $0.began > first && $0.ended < last }
        }
    }

    /// Its filesystem must not be frozen any more.
    func stop() {
        isWanted.update { $0 = false }
        end.wait()
        try? file.close()
    }
}
