import FoundationEssentials
import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// What needs an admin's attention, kept for the next start and for `check`: `attention.json` in the state directory. No
/// file means nothing.
///
/// Blocks, and opens paths: not in the window (P7).
public struct AttentionFile: Sendable {
    private struct Entry: Codable {
        let hook: String
        let request: String
        let problem: String
        let since: WallTime
    }

    private struct Content: Codable {
        var version = 1
        let attention: [Entry]
    }

    public let path: FilePath
    /// In place of the file, while the state directory's filesystem may be frozen.
    private let held: FilePath

    public init(inStateDirectory directory: FilePath, heldIn runDirectory: FilePath) {
        path = directory.appending("attention.json")
        held = runDirectory.appending("attention.held.json")
    }

    /// - Throws: `HistoryError` if the file is there and cannot be read or understood.
    public func read(clock: WallClock = .current()) throws(HistoryError) -> [Attention] {
        // The autoclosure of ?? would lose the error's type.
        if let attention = try read(held, clock) { return attention }
        return try read(path, clock) ?? []
    }

    /// - Parameter isHeld: True to write to the run directory, which is never frozen: see ``writeHeld()``.
    public func write(
        _ attention: [Attention], isHeld: Bool, clock: WallClock = .current()
    ) throws(HistoryError) {
        let entries = attention.map {
            Entry(
                hook: $0.hook, request: $0.request.text, problem: $0.problem, since: clock.wallTime(of: $0.since))
        }
        let target = isHeld ? held : path
        do throws(Errno) {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            // Strings and a number: nothing throws.
            let data = (try? encoder.encode(Content(attention: entries))) ?? Data()
            _ = mkdir(target.removingLastComponent().string, 0o700)
            if entries.isEmpty, !isHeld {
                try remove(path)
            } else {
                try replaceFile(target, by: Array(data) + [newline])
            }
            // Older than what is written now.
            if !isHeld { try remove(held) }
        } catch {
            throw HistoryError(
                .notWritten, target, "what needs attention cannot be kept",
                remedy: HistoryError.remedy(for: error, target), underlyingError: error)
        }
    }

    /// Moves what is held into the file.
    public func writeHeld() throws(HistoryError) {
        let clock = WallClock.current()
        guard let attention = try read(held, clock) else { return }
        try write(attention, isHeld: false, clock: clock)
    }

    private func read(_ path: FilePath, _ clock: WallClock) throws(HistoryError) -> [Attention]? {
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try readWholeFile(path, limit: 1 << 20)
        } catch {
            if error == .noSuchFileOrDirectory { return nil }
            throw HistoryError(
                .unreadable, path, "what needs attention cannot be read",
                remedy: HistoryError.remedy(for: error, path), underlyingError: error)
        }
        guard let content = try? JSONDecoder().decode(Content.self, from: Data(bytes)), content.version == 1 else {
            throw HistoryError(
                .unreadable, path, "what needs attention cannot be understood",
                remedy: "Remove the file, and look at `quiescectl history`.")
        }
        return content.attention.map { entry in
            let age = Duration.milliseconds(clock.wallTime.milliseconds - entry.since.milliseconds)
            return Attention(
                hook: entry.hook, request: RequestID(entry.request), problem: entry.problem,
                since: clock.moment + (.zero - age))
        }
    }

    private func remove(_ path: FilePath) throws(Errno) {
        guard unlink(path.string) != 0, errno != ENOENT else { return }
        throw Errno(rawValue: errno)
    }

    /// A crash leaves the old file or the new one.
}
