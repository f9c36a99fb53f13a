import Foundation

/// What daemon and freezer allocate while anything is frozen (Tests/AllocationCounter). For those that are started while
/// it exists.
final class AllocationCount {
    struct Window {
        let daemon: Int
        let freezer: Int
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private static let library = "/quiesce/lib/allocation-counter.so"
    private static let file = URL(fileURLWithPath: "/run/allocations")
    private static let preload = "/etc/ld.so.preload"
    private static let wordCount = 7

    init() throws {
        try ScratchWorld.require()
        try Data(repeating: 0, count: Self.wordCount * 8).write(to: Self.file)
        try Data("\(Self.library)\n".utf8).write(to: URL(fileURLWithPath: Self.preload))
    }

    deinit {
        unlink(Self.preload)
    }

    /// Has the next window counted.
    func arm() throws {
        let handle = try FileHandle(forWritingTo: Self.file)
        try handle.seek(toOffset: 2 * 8)
        withUnsafeBytes(of: UInt64(1)) { handle.write(Data($0)) }
        try handle.close()
    }

    /// From its first FIFREEZE to its last FITHAW.
    func window() throws -> Window {
        let data = try Data(contentsOf: Self.file)
        let words = (0..<Self.wordCount).map { place in
            data.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: place * 8, as: UInt64.self)) }
        }
        guard words[0] > 0, words[1] > 0, words[2] == 2 else {
            throw Failure(description: "nothing was counted: \(words)")
        }
        return Window(daemon: words[5] - words[3], freezer: words[6] - words[4])
    }
}
