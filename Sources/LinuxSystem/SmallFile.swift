import LinuxCalls
import SystemPackage

/// Reading the small text files of sysfs, procfs and udev's database.
enum SmallFile {
    /// The contents, without the newline at the end.
    ///
    /// - Returns: nil if there is no such file or it cannot be read: in these trees an attribute that is missing means
    ///   that the device does not have it.
    static func read(_ path: FilePath, limit: Int = 64 * 1024) -> [UInt8]? {
        guard var bytes = try? readWholeFile(path, limit: limit) else { return nil }
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        return bytes
    }

    static func text(_ path: FilePath) -> String? {
        read(path).map { String(decoding: $0, as: UTF8.self) }
    }
}
