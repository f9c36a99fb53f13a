import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import DataExchange

/// A pool in a directory that only root can change.
final class ScratchPool {
    let directory: FilePath
    let path: FilePath

    init(_ bytes: [UInt8]? = []) throws {
        var template = Array("/run/quiesce-pool-XXXXXX".utf8CString)
        let isMade = mkdtemp(&template) != nil
        try #require(isMade)
        directory = FilePath(platformString: template)
        path = directory.appending(".kvp_pool_1")
        if let bytes { try fill(bytes) }
    }

    deinit {
        for name in (try? directoryEntries(directory)) ?? [] {
            let entry = directory.appending(name).string
            if unlink(entry) != 0 { rmdir(entry) }
        }
        rmdir(directory.string)
    }

    func fill(_ bytes: [UInt8]) throws {
        let file = try openDescriptor(
            path, .writeOnly, options: [.create, .truncate],
            permissions: [.ownerReadWrite, .groupRead, .otherRead])
        try file.closeAfter { try writeAll(bytes, to: file) }
    }

    var bytes: [UInt8] { get throws { try readWholeFile(path, limit: 4 << 20) } }

    /// The records as hosts read the pool: whole records, up to the zero bytes.
    var items: [(key: String, value: String)] {
        get throws { try Self.items(of: bytes) }
    }

    static func items(of bytes: [UInt8]) -> [(key: String, value: String)] {
        stride(from: 0, through: bytes.count - PoolRecords.size, by: PoolRecords.size).map { start in
            let key = bytes[start..<(start + PoolRecords.keySize)].prefix { $0 != 0 }
            let value = bytes[(start + PoolRecords.keySize)..<(start + PoolRecords.size)].prefix { $0 != 0 }
            return (String(decoding: key, as: UTF8.self), String(decoding: value, as: UTF8.self))
        }
    }

    func value(_ key: String) throws -> String? { try items.first { $0.key == key }?.value }

    func file(waiting limit: Duration = .milliseconds(100)) -> PoolFile { PoolFile(path: path, lockLimit: limit) }
}

/// A record of another program.
func foreign(_ key: String, _ value: String) -> [UInt8] { PoolFact(key, value).record }
