import FreezeCore
import SystemPackage

/// What udev's database says of one device (`/run/udev/data/bMAJOR:MINOR`; systemd's src/libsystemd/sd-device).
struct UdevRecord: Hashable, Sendable {
    /// Names below /dev.
    var links: [String] = []
    var properties: [String: String] = [:]

    init(parsing text: String) {
        for line in text.split(separator: "\n") {
            let value = line.dropFirst(2)
            if line.hasPrefix("S:") {
                links.append(String(value))
            } else if line.hasPrefix("E:"), let separator = value.firstIndex(of: "=") {
                properties[String(value[..<separator])] = String(value[value.index(after: separator)...])
            }
        }
    }

    /// - Returns: nil if udev does not know the device.
    static func read(_ device: DeviceNumber, in database: FilePath) -> UdevRecord? {
        SmallFile.text(database.appending("b\(device)")).map { UdevRecord(parsing: $0) }
    }

    /// - Returns: nil if udev found no filesystem: it may have run before there was one.
    var identity: FilesystemIdentity? {
        guard properties["ID_FS_TYPE"] != nil || properties["ID_FS_UUID"] != nil else { return nil }
        // In the plain properties udev puts an underscore in place of what is unusual in a name.
        return FilesystemIdentity(
            uuid: decoded("ID_FS_UUID"), label: decoded("ID_FS_LABEL"),
            partitionType: properties["ID_PART_ENTRY_TYPE"]?.lowercased())
    }

    private func decoded(_ name: String) -> String? {
        guard let encoded = properties[name + "_ENC"] else { return properties[name] }
        var bytes: [UInt8] = []
        var rest = Array(encoded.utf8)[...]
        while let byte = rest.popFirst() {
            // blkid_encode_string(): backslash, x, two hexadecimal digits.
            if byte == UInt8(ascii: "\\"), rest.first == UInt8(ascii: "x"),
                let value = UInt8(String(decoding: rest.dropFirst().prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
