import FreezeCore
import LinuxCalls
import SystemPackage
import Testing

@testable import History

/// What needs attention survives restarts, and what is newer wins.
@Suite struct AttentionFileTests {
    private let directory = try? TemporaryDirectory()

    private func attention(_ hooks: String...) -> [Attention] {
        hooks.map {
            Attention(hook: $0, request: RequestID("r1"), problem: "failed", since: Moment(nanoseconds: 5))
        }
    }

    private func file() throws -> AttentionFile {
        let path = try #require(directory).path
        return AttentionFile(inStateDirectory: path, heldIn: path)
    }

    @Test func `what is held is read, and moved when files may be written to`() throws {
        let file = try file()
        #expect(try file.read() == [])
        try file.write(attention("10-a"), isHeld: true)
        #expect(try file.read().map(\.hook) == ["10-a"])
        try file.writeHeld()
        #expect(try file.read().map(\.hook) == ["10-a"])
        try file.write([], isHeld: true)
        #expect(try file.read() == [])
    }

    @Test func `what was held before does not hide what is written now`() throws {
        let file = try file()
        try file.write([], isHeld: true)
        try file.write(attention("10-a"), isHeld: false)
        #expect(try file.read().map(\.hook) == ["10-a"])
        // Nothing is left to be moved over it.
        try file.writeHeld()
        #expect(try file.read().map(\.hook) == ["10-a"])
        try file.write([], isHeld: false)
        #expect(try file.read() == [])
    }

    @Test func `a name that controls terminals comes back as it was`() throws {
        let file = try file()
        try file.write(attention("10-\u{1B}[2J"), isHeld: false)
        #expect(try file.read().map(\.hook) == ["10-\u{1B}[2J"])
    }
}
