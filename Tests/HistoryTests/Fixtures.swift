import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import History

/// Moments count from here, as in a record from a file.
let start = Moment(nanoseconds: 0)

/// 2026-11-21T10:36:45.123Z at the start.
let startClock = WallClock(moment: start, wallTime: WallTime(milliseconds: 1_795_257_405_123))

func at(_ milliseconds: Double) -> Moment {
    start + .microseconds(Int64(milliseconds * 1000))
}

func timed(_ offset: Double, _ duration: Double, _ error: Errno? = nil) -> TimedResult {
    TimedResult(error: error, started: at(offset), ended: at(offset + duration))
}

func planned(
    _ path: FilePath, minor: UInt32 = 1, action: FilesystemAction = .freeze, step: Int? = nil,
    reason: String = "read-write ext4", type: String = "ext4", others: [FilePath] = []
) -> PlannedFilesystem {
    let device = DeviceNumber(major: 8, minor: minor)
    return PlannedFilesystem(
        device: device,
        mount: MountEntry(
            mountID: UInt64(minor), parentID: 1, device: device, root: "/", mountPoint: path, mountOptions: "rw",
            filesystemType: type, source: "/dev/sda\(minor)", superblockOptions: "rw"),
        otherMountPoints: others, action: action, reason: reason, step: action == .freeze ? step ?? 0 : nil)
}

extension RequestRecord {
    static func make(_ id: String = "20261121T103645-1", channel: ChannelID = .hyperV) -> RequestRecord {
        RequestRecord(id: RequestID(id), channel: channel, clock: startClock)
    }

    /// Two steps of filesystems, two hooks, all well.
    static func success(
        _ id: String = "20261121T103645-1", channel: ChannelID = .hyperV
    ) -> RequestRecord {
        var record = make(id, channel: channel)
        record.filesystems = [
            FilesystemRecord(planned("/srv/images/guest", minor: 17, step: 0)),
            FilesystemRecord(planned("/", minor: 1, step: 1, others: ["/mnt/bind"])),
            FilesystemRecord(
                planned(
                    "/mnt/usb", minor: 33, action: .sync, reason: "vfat has no freeze", type: "vfat")),
        ]
        for (index, pair) in [("/proc", "proc"), ("/sys", "sysfs"), ("/dev", "devtmpfs")].enumerated() {
            record.filesystems.append(
                FilesystemRecord(
                    planned(
                        FilePath(pair.0), minor: UInt32(100 + index), action: .skip, reason: "pseudo filesystem",
                        type: pair.1)))
        }
        for index in 0..<3 {
            record.filesystems[index].flushes = [
                timed(12.5, 84.125 + Double(index) * 9), timed(620, 3.25),
            ]
        }
        record.hooks = [
            hook("10-postgresql", .freeze, 103, 311.5), hook("20-app.session", .freeze, 415, 204),
            hook("20-app.session", .thaw, 1790, 12), hook("10-postgresql", .thaw, 1803, 44.75),
        ]
        record.windowOpened = at(624)
        record.filesystems[0].freeze = timed(624.5, 1.25)
        record.filesystems[1].freeze = timed(626, 4.125)
        record.answered = at(631)
        record.isAnsweredWithSuccess = true
        record.filesystems[1].thaw = timed(1783, 0.25)
        record.filesystems[0].thaw = timed(1783.5, 0.125)
        record.windowClosed = at(1784)
        record.ended = at(1848)
        record.result = .succeeded
        record.level = .crash
        record.reason = "could only be flushed: /mnt/usb"
        return record.finished
    }

    static func hook(
        _ name: String, _ phase: HookPhase, _ offset: Double, _ duration: Double,
        _ outcome: HookOutcome = .exited(status: 0), output: String = ""
    ) -> HookRun {
        HookRun(
            name: name, phase: phase, outcome: outcome, output: output, isOutputTruncated: false,
            started: at(offset), duration: .microseconds(Int64(duration * 1000)))
    }
}

extension RequestRecord {
    /// The lists that the machine makes at the end of a request.
    var finished: RequestRecord {
        var record = self
        (record.workingHooks, record.attention) = (hooks.working, hooks.failedThaws)
        return record
    }

    /// As a reader of the history gets the record.
    func read() throws -> RequestRecord { try RequestRecord(line: line()) }
}

/// A directory of its own for a test.
final class ScratchDirectory: Sendable {
    let path: FilePath

    init() throws {
        var template = Array("/tmp/quiesce-history-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    deinit {
        remove(path)
    }

    private func remove(_ directory: FilePath) {
        if let stream = opendir(directory.string) {
            while let entry = readdir(stream) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                guard name != ".", name != ".." else { continue }
                let child = directory.appending(name)
                if entry.pointee.d_type == UInt8(DT_DIR) { remove(child) } else { unlink(child.string) }
            }
            closedir(stream)
        }
        rmdir(directory.string)
    }
}

/// xorshift64*: the seed reproduces a failure.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    }

    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }
}
