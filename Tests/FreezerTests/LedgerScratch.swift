import FreezeCore
import FreezerProtocol
import Glibc
import LinuxCalls
import SystemPackage

/// A directory on a tmpfs that is anybody's, removed with its object: these tests freeze nothing and need no root.
final class LedgerScratch {
    let path: FilePath

    init(below parent: FilePath = "/dev/shm") throws {
        var template = Array(parent.appending("quiesce-test.XXXXXX").string.utf8CString)
        guard let made = mkdtemp(&template) else { throw Errno(rawValue: errno) }
        path = FilePath(platformString: made)
    }

    deinit {
        guard let directory = opendir(path.string) else { return }
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { FilePath(platformString: $0) }
            }
            unlink(path.pushing(name).string)
        }
        closedir(directory)
        rmdir(path.string)
    }

    func runDirectory() throws -> RunDirectory { try RunDirectory(path, creating: false) }

    /// Writes the bytes to a new file, and opens it as a ledger.
    func ledger(of bytes: [UInt8]) throws -> Ledger {
        let file = path.appending("damaged")
        let descriptor = try openDescriptor(
            file, .readWrite, options: [.create, .truncate], permissions: .ownerReadWrite)
        try writeAll(bytes, to: descriptor)
        defer { try? descriptor.close() }
        return try Ledger(mapping: descriptor, path: file)
    }
}

extension LedgerContents {
    /// A request of this process with so many superblocks; every seventh mount point is not UTF-8.
    static func sample(
        superblocks: Int, hooks: [String] = ["10-first", "20-second.session"], replacing earlier: Ledger? = nil
    ) -> LedgerContents {
        LedgerContents(
            requestID: "00c0ffee00c0ffee", channel: "hyperv", daemon: .current,
            superblocks: (0..<superblocks).map { index in
                Superblock(
                    device: DeviceNumber(major: 7, minor: UInt32(index)), mountPoint: mountPoint(index),
                    step: index % 3)
            }, hooks: hooks, replacing: earlier)
    }

    private static func mountPoint(_ index: Int) -> FilePath {
        let bytes = Array("/mnt/\(index)".utf8) + (index % 7 == 0 ? [0xFF, 0xFE, 0x0A, 0x20] : [])
        let terminated = bytes.map(CChar.init(bitPattern:)) + [0]
        return terminated.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map(FilePath.init(platformString:)) ?? "/"
        }
    }
}

/// Numbers that look random and are the same in every run (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
