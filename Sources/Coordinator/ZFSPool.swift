import FreezeCore
import LinuxSystem
import Subprocess
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

    /// - Returns: What went wrong, in a clause; nil if nothing, or if there is no such program.
    func sync(by program: FilePath = program) async -> String? {
        do {
            guard try TrustCheck.verify(program, mayBeMissing: true) else { return nil }
            let result = try await Subprocess.run(
                .path(program), arguments: ["sync", name], environment: .custom(["LC_ALL": "C"]),
                output: .discarded, error: .string(limit: 4096))
            if result.terminationStatus.isSuccess { return nil }
            let text =
                result.standardError.split(separator: "\n").first ?? "\(result.terminationStatus)"[...]
            return "\(program) sync \(name): \(escapedControlCharacters(String(text)))"
        } catch {
            return "\(program) sync \(name): \(error)"
        }
    }
}
