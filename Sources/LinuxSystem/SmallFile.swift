import SystemPackage

/// Reading the small text files of sysfs, procfs and udev's database.
enum SmallFile {
    /// The contents, without the newline at the end.
    ///
    /// - Returns: nil if there is no such file or it cannot be read: in these trees an attribute that is missing means
    ///   that the device does not have it.
    static func read(_ path: FilePath, limit: Int = 64 * 1024) -> [UInt8]? {
        guard let descriptor = try? FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .nonBlocking])
        else {
            return nil
        }
        defer { try? descriptor.close() }
        var bytes = [UInt8](repeating: 0, count: limit)
        var count = 0
        while count < limit {
            let got = try? bytes.withUnsafeMutableBytes { buffer in
                try descriptor.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]))
            }
            guard let got else { return nil }
            if got == 0 { break }
            count += got
        }
        bytes.removeSubrange(count...)
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        return bytes
    }

    static func text(_ path: FilePath) -> String? {
        read(path).map { String(decoding: $0, as: UTF8.self) }
    }
}
