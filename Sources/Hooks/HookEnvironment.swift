import Glibc
import LinuxCalls
import Synchronization
import SystemPackage

/// The environment of one call, and the file that belongs to it if the mount points do not fit in.
struct HookEnvironment: Sendable {
    /// execve(2) limits one string to 128 KiB (MAX_ARG_STRLEN) and all of them to a share of the stack's limit.
    static let inlineLimit = 64 << 10

    /// `NAME=value` each.
    let rows: [[UInt8]]
    private let file: FilePath?

    private static let filePrefix = "hook-mountpoints."

    private static let counter = Atomic<Int>(0)

    /// Blocks as writing a file in the run directory does, if the list is long.
    ///
    /// - Parameter settings: The hook's settings file, verified; nil if there is none.
    init(
        _ context: HookContext, argument: String, settings: FilePath? = nil, runDirectory: FilePath
    ) throws(Errno) {
        let mountPoints = context.escapedMountPoints
        var rows = context.environment(argument: argument).map { Array($0.utf8) }
        if let settings {
            rows.append(Array("QUIESCE_HOOK_SETTINGS=\(settings.string)".utf8))
        }
        if mountPoints.count <= Self.inlineLimit {
            rows.append(Array("QUIESCE_MOUNTPOINTS=".utf8) + mountPoints)
            file = nil
        } else {
            let number = Self.counter.wrappingAdd(1, ordering: .relaxed).newValue
            let file = runDirectory.appending("\(Self.filePrefix)\(getpid()).\(number)")
            try Self.write(mountPoints + [UInt8(ascii: "\n")], to: file)
            rows.append(Array("QUIESCE_MOUNTPOINTS_FILE=\(file.string)".utf8))
            self.file = file
        }
        self.rows = rows
    }

    func remove() {
        if let file { unlink(file.string) }
    }

    /// A call that was cut short by the end of its process has left its file.
    static func removeLeftovers(in runDirectory: FilePath) {
        let names = (try? directoryEntries(runDirectory)) ?? []
        for name in names where name.string.hasPrefix(filePrefix) { unlink(runDirectory.appending(name).string) }
    }

    private static func write(_ bytes: [UInt8], to file: FilePath) throws(Errno) {
        do {
            let descriptor = try FileDescriptor.open(
                file, .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec], permissions: [.ownerRead])
            try descriptor.closeAfter { _ = try descriptor.writeAll(bytes) }
        } catch {
            // Half a list is worse than none.
            unlink(file.string)
            // swift-system throws nothing but Errno.
            throw error as? Errno ?? .ioError
        }
    }
}
