import Foundation
import SystemPackage
import Testing

/// The world made by `Tests/Runners/scratch-world`, in which anything may be frozen.
///
/// Independent of the product's code on purpose: a bug there must not disarm the guard.
enum ScratchWorld {
    /// Where `make test` puts `quiesced`, `quiescectl` and `quiesce-freezer`.
    static let programs: FilePath = "/quiesce/bin"

    /// Why this is no place to freeze anything.
    struct Refusal: Error, CustomStringConvertible {
        let description: String
    }

    /// The guard: throws unless every filesystem that could be frozen from here is a scratch one.
    ///
    /// Called by the suite's condition and by every `ScratchFilesystem`; a test that freezes in another way calls
    /// it itself.
    static func require() throws {
        let environment = ProcessInfo.processInfo.environment
        let devices = try String(contentsOfFile: "/proc/devices", encoding: .utf8)
        try require(
            environment: environment, mountTable: String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8),
            devices: devices)
        // The product freezes what any process that it sees has mounted: none may be of the machine. So the world has
        // process numbers of its own.
        for process in try FileManager.default.contentsOfDirectory(atPath: "/proc") where Int(process) != nil {
            // One that has ended has no table any more.
            guard let table = try? String(contentsOfFile: "/proc/\(process)/mountinfo", encoding: .utf8),
                !table.isEmpty
            else { continue }
            try require(environment: environment, mountTable: table, devices: devices)
        }
    }

    /// - Parameters:
    ///   - mountTable: as `/proc/self/mountinfo`, proc(5).
    ///   - devices: as `/proc/devices`: zram's major number is a dynamic one.
    static func require(environment: [String: String], mountTable: String, devices: String) throws {
        guard environment["QUIESCE_SCRATCH_WORLD"] == "1" else {
            throw Refusal(description: "not in a scratch world: run Tests/Runners/scratch-world, or make test")
        }
        let zramMajor = devices.split(separator: "\n").lazy.map { $0.split(separator: " ") }
            .first { $0.count == 2 && $0[1] == "zram" }?.first
        let mounts = mountTable.split(separator: "\n")
        guard !mounts.isEmpty else { throw Refusal(description: "the mount table is empty") }
        for mount in mounts {
            // 36 35 98:0 /root /mount/point options [optional fields] - type source superblock-options
            let fields = mount.split(separator: " ")
            guard fields.count > 6, let separator = fields[6...].firstIndex(of: "-"), fields.count > separator + 2,
                let major = fields[2].split(separator: ":").first
            else { throw Refusal(description: "a line of the mount table is not understood: \(mount)") }
            let (point, type, source) = (fields[4], fields[separator + 1], fields[separator + 2])
            let isScratch: Bool
            if major == "0" {
                // No device of its own: a kernel or network filesystem, which cannot be frozen, or btrfs.
                let name = source.split(separator: "/").last ?? ""
                isScratch = !source.hasPrefix("/dev/") || name.hasPrefix("loop") || name.hasPrefix("zram")
                if type == "btrfs" || type == "bcachefs", !source.hasPrefix("/dev/") {
                    throw Refusal(description: "\(point): \(type) on \(source), which may be anything")
                }
            } else {
                isScratch = major == "7" || major == zramMajor
            }
            guard isScratch else {
                throw Refusal(description: "\(point): \(type) on \(source) is neither on a loop nor a zram device")
            }
        }
    }

    /// Whether a suite of end-to-end tests may run: skipped with a loud message elsewhere than in a scratch world,
    /// a failure in CI, and a failure also in a world that the guard refuses.
    static func mayRun() throws -> Bool {
        let environment = ProcessInfo.processInfo.environment
        if environment["QUIESCE_SCRATCH_WORLD"] != "1", environment["CI"] != "true" {
            FileHandle.standardError.write(
                Data("NOT RUN, not in a scratch world: EndToEndTests (make test)\n".utf8))
            return false
        }
        try require()
        guard ThawWatchdog.isRootWatched else { throw Refusal(description: "/ cannot be opened") }
        return true
    }
}

extension Trait where Self == ConditionTrait {
    /// Runs the tests in a scratch world only.
    static var inScratchWorld: Self {
        .enabled("needs Tests/Runners/scratch-world: run make test") { try ScratchWorld.mayRun() }
    }
}

/// All tests that freeze real filesystems: one at a time, in a scratch world, each under the eyes of a watchdog.
///
/// A suite belongs here by `extension EndToEnd { @Suite struct … }`.
@Suite(.serialized, .inScratchWorld, .thawWatchdog(after: .seconds(60)))
enum EndToEnd {}
