import Foundation
import SystemPackage

/// A FUSE mount of a user. The user's server reports root as owner of all files, and write access for root only.
///
/// A directory with some files. Without a server every access hangs. Unmounted when the last reference goes.
final class ForgedFilesystem: @unchecked Sendable {
    let mountPoint: FilePath
    private let device: FileDescriptor

    /// - Parameters:
    ///   - files: The content of the files, by name; all executable.
    ///   - isServed: Whether a server answers.
    init(on mountPoint: FilePath, files: [String: String] = [:], isServed: Bool = true) throws {
        try ScratchWorld.require()
        try RunningProgram.output(
            of: "sh", ["-c", "[ -e /dev/fuse ] || mknod /dev/fuse c 10 229; mkdir -p \(mountPoint)"])
        // As in a user's home directory, where the user may mount.
        try RunningProgram.output(of: "chown", ["65534:65534", mountPoint.string])
        self.mountPoint = mountPoint
        device = try FileDescriptor.open("/dev/fuse", .readWrite, options: .closeOnExec)
        // The mount options of fusermount for a user, with user_allow_other in /etc/fuse.conf.
        let options =
            "fd=\(device.rawValue),rootmode=40000,user_id=65534,group_id=65534,allow_other,default_permissions"
        guard mount("forged", mountPoint.string, "fuse.forged", UInt(MS_NOSUID | MS_NODEV), options) == 0 else {
            throw Errno(rawValue: errno)
        }
        if isServed {
            let (server, device) = (Server(files: files.map { ($0.key, Array($0.value.utf8)) }), device)
            Thread.detachNewThread { server.serve(device) }
        }
    }

    /// Ends every call that waits for the server.
    func end() {
        umount2(mountPoint.string, CInt(MNT_FORCE | MNT_DETACH))
    }

    deinit {
        end()
        try? device.close()
    }

    /// The kernel's side of the protocol is <linux/fuse.h>.
    private struct Server: Sendable {
        let files: [(name: String, content: [UInt8])]

        func serve(_ device: FileDescriptor) {
            var request = [UInt8](repeating: 0, count: 1 << 17)
            while case let count = read(device.rawValue, &request, request.count), count > 0 || errno == EINTR {
                guard count >= 40 else { continue }
                let bytes = Array(request[..<count])
                guard let answer = answer(to: bytes) else { continue }
                let header: [UInt8] =
                    Self.bytes(UInt32(16 + answer.body.count)) + Self.bytes(answer.error) + bytes[8..<16]
                let whole = header + answer.body
                _ = write(device.rawValue, whole, whole.count)
            }
        }

        private func answer(to request: [UInt8]) -> (error: Int32, body: [UInt8])? {
            let operation = Self.number(request, at: 4, as: UInt32.self)
            let node = Self.number(request, at: 16, as: UInt64.self)
            switch operation {
            case 2, 36, 42: return nil  // FORGET, INTERRUPT, BATCH_FORGET
            case 26:  // INIT: version 7.31, no features
                let body =
                    Self.bytes(UInt32(7)) + Self.bytes(UInt32(31)) + Self.bytes(UInt32(0)) + Self.bytes(UInt32(0))
                    + Self.bytes(UInt32(0)) + Self.bytes(UInt32(4096)) + Self.bytes(UInt32(1))
                return (0, body + [UInt8](repeating: 0, count: 64 - body.count))
            case 1:  // LOOKUP
                let name = String(decoding: request[40...].prefix { $0 != 0 }, as: UTF8.self)
                guard let index = files.firstIndex(where: { $0.name == name }) else { return (-ENOENT, []) }
                let node = UInt64(index + 2)
                return (
                    0,
                    Self.bytes(node) + [UInt8](repeating: 0, count: 32) + attributes(of: node)
                )
            case 3: return (0, [UInt8](repeating: 0, count: 16) + attributes(of: node))  // GETATTR
            case 14, 27: return (0, [UInt8](repeating: 0, count: 16))  // OPEN, OPENDIR
            case 15:  // READ
                let offset = Int(Self.number(request, at: 48, as: UInt64.self))
                let size = Int(Self.number(request, at: 56, as: UInt32.self))
                return (0, Array(content(of: node).dropFirst(offset).prefix(size)))
            case 18, 25, 29: return (0, [])  // RELEASE, FLUSH, RELEASEDIR
            default: return (-ENOSYS, [])
            }
        }

        private func content(of node: UInt64) -> [UInt8] {
            node >= 2 && node < files.count + 2 ? files[Int(node) - 2].content : []
        }

        /// Reports root as the owner.
        private func attributes(of node: UInt64) -> [UInt8] {
            let isRoot = node == 1
            let mode = isRoot ? S_IFDIR | 0o755 : S_IFREG | 0o755
            let size = UInt64(content(of: node).count)
            return Self.bytes(node) + Self.bytes(size) + Self.bytes((size + 511) / 512)
                + [UInt8](repeating: 0, count: 36)
                + Self.bytes(mode) + Self.bytes(UInt32(isRoot ? 2 : 1)) + Self.bytes(UInt32(0))
                + Self.bytes(UInt32(0)) + Self.bytes(UInt32(0)) + Self.bytes(UInt32(4096)) + Self.bytes(UInt32(0))
        }

        private static func number<Number: FixedWidthInteger>(
            _ bytes: [UInt8], at offset: Int, as type: Number.Type
        ) -> Number {
            bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: type) }
        }

        private static func bytes(_ number: some FixedWidthInteger) -> [UInt8] {
            withUnsafeBytes(of: number) { Array($0) }
        }
    }
}
