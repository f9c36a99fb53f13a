import FreezeCore
import Glibc
import LinuxCalls
import Synchronization
import SystemPackage

/// A busy application: writes numbered records to a file, each with fdatasync(2), round and round in a ring.
///
/// A record holds nothing but its number, again and again, so that a torn, lost or old one is seen.
final class RingWriter: Sendable {
    static let slots = 2048
    static let recordSize = 512

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private struct State {
        /// The last record that is on the disk, as far as the kernel says.
        var acknowledged = 0
        var longest = Duration.zero
        var isStopping = false
        var hasEnded = false
        var error: Errno?
    }

    let file: FilePath
    private let descriptor: FileDescriptor
    private let state = Monitor(State())

    init(in directory: FilePath) throws {
        file = directory.appending("ring")
        descriptor = try .open(
            file, .readWrite, options: [.create, .truncate, .closeOnExec], permissions: .ownerReadWrite)
        try OperatingSystemThread.start("writer") { [self] in work() }
    }

    var acknowledged: Int { state.update(\.acknowledged) }
    /// The longest that one write took, with its fdatasync.
    var longestStall: Duration { state.update(\.longest) }

    /// Waits for so many more records: it writes indeed, and is not frozen.
    func waitForProgress(_ count: Int = 1, within limit: Duration = .seconds(20)) throws {
        let before = acknowledged
        let came: Bool? = state.wait(until: .now + limit) { $0.acknowledged >= before + count ? true : nil }
        guard came == true else { throw Failure(description: "\(file): nothing is written for \(limit)") }
    }

    private func work() {
        var number = 0
        while !state.update(\.isStopping) {
            number += 1
            let started = Moment.now
            do {
                let record = [UInt64](repeating: UInt64(number), count: Self.recordSize / 8)
                let place = Int64(number % Self.slots * Self.recordSize)
                let written = try record.withUnsafeBytes { try descriptor.write(toAbsoluteOffset: place, $0) }
                guard written == Self.recordSize, fdatasync(descriptor.rawValue) == 0 else {
                    throw Errno(rawValue: errno)
                }
            } catch {
                state.update { $0.error = error as? Errno ?? .ioError }
                break
            }
            let took = Moment.now - started
            state.update { state in
                state.acknowledged = number
                state.longest = max(state.longest, took)
            }
            // Not in a tight loop: all of them share the processors with what is tested.
            _ = pollDescriptors([], until: .now + .milliseconds(1))
        }
        state.update { $0.hasEnded = true }
    }

    /// Ends it, and reads from the disk, past the page cache, what it has written: every record is the last of its place.
    func stopAndVerify() throws {
        state.update { $0.isStopping = true }
        let ended: Bool? = state.wait(until: .now + .seconds(20)) { $0.hasEnded ? true : nil }
        guard ended == true else { throw Failure(description: "\(file): the writer hangs") }
        if let error = state.update(\.error) { throw Failure(description: "\(file): \(error)") }
        try descriptor.close()
        let copy: FilePath = "/tmp/ring.copy"
        try RunningProgram.output(
            of: "dd", ["if=\(file)", "of=\(copy)", "iflag=direct", "bs=1M", "status=none"])
        let bytes = try readWholeFile(copy)
        try RunningProgram.output(of: "rm", [copy.string])
        let last = acknowledged
        for slot in 0..<min(Self.slots, last) {
            let number = last - slot
            let place = number % Self.slots * Self.recordSize
            let record = bytes[place..<(place + Self.recordSize)]
            let isWhole = record.elementsEqual(
                (0..<Self.recordSize).map { UInt8(truncatingIfNeeded: UInt64(number) >> (8 * ($0 % 8))) })
            guard isWhole else { throw Failure(description: "\(file): record \(number) of \(last) is not there") }
        }
    }
}
