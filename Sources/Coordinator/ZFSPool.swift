import FreezeCore
import LinuxCalls
import LinuxSystem
import SystemPackage

/// A pool of ZFS, which has no freeze. syncfs(2) of a dataset writes only the intent log; `zpool sync` (zpool-sync(8))
/// writes everything to its final place.
struct ZFSPool: Hashable, Sendable {
    static let program: FilePath = "/usr/sbin/zpool"

    let name: String
    /// The first filesystem of the plan that is stored in the pool.
    let device: DeviceNumber

    /// The pools of filesystems that are flushed and not frozen.
    static func all(of filesystems: [PlannedFilesystem]) -> [ZFSPool] {
        var seen: Set<String> = []
        let datasets = filesystems.filter { $0.action == .sync && $0.mount.filesystemType == "zfs" }
        return datasets.compactMap { filesystem in
            // `pool/dataset`; a name begins with a letter (zpoolconcepts(7)), so it is no option.
            let name = filesystem.mount.source.prefix { $0 != "/" && $0 != "@" }
            guard name.first?.isLetter == true, seen.insert(String(name)).inserted else { return nil }
            return ZFSPool(name: String(name), device: filesystem.device)
        }
    }

    /// Blocks until the pool is written.
    ///
    /// - Returns: What went wrong, in a clause; nil if nothing, or if there is no such program.
    func sync(by program: FilePath = program) -> String? {
        do throws(TrustError) {
            guard try TrustCheck.verify(program, mayBeMissing: true) else { return nil }
        } catch {
            return "\(program) sync \(name): \(error)"
        }
        do {
            let (end, errors) = try run(program)
            if end == .exited(status: 0) { return nil }
            let line = errors.split(whereSeparator: \.isNewline).first.map { String($0) }
            let reason = line ?? end.map { "\($0)" } ?? "its end is not known"
            return "\(program) sync \(name): \(escapedControlCharacters(reason))"
        } catch {
            return "\(program) sync \(name): \(error)"
        }
    }

    /// - Returns: The end of the program, and its standard error.
    private func run(_ program: FilePath) throws -> (end: ChildProcess.End?, errors: String) {
        let nowhere = try openDescriptor("/dev/null", .readWrite)
        defer { try? nowhere.close() }
        let errors = try OutputPipe()
        defer { try? errors.readEnd.close() }
        let child: ChildProcess
        do {
            defer { try? errors.writeEnd.close() }
            child = try ChildProcess.start(
                ChildProcess.Program(
                    program, arguments: [program.string, "sync", name], environment: [Array("LC_ALL=C".utf8)]),
                descriptors: [nowhere, nowhere, errors.writeEnd])
        }
        var text: [UInt8] = []
        while !pollDescriptors([(errors.readEnd, .readable)], until: nil)[0].isEmpty {
            let part = try readOnce(errors.readEnd, atMost: 4096)
            if part.isEmpty { break }
            text += part.prefix(Self.longestText - text.count)
        }
        return (child.waitForEnd(), String(decoding: text, as: UTF8.self))
    }

    /// Bytes kept of what the program writes.
    private static let longestText = 4096
}
