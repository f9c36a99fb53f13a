import CLibmount
import FreezeCore
import Glibc
import SystemPackage

/// The mount table of a process, read with libmount.
enum MountTable {
    /// Reads a table once.
    ///
    /// - Parameter path: `/proc/self/mountinfo`, or another process's.
    /// - Throws: `LinuxSystemError` if it cannot be read, or a line of it not be understood.
    static func read(_ path: FilePath = "/proc/self/mountinfo") throws(LinuxSystemError) -> [MountEntry] {
        try MountTableWatch(path).read()
    }

    /// Decodes the bytes of a mountinfo file. Opens nothing and looks no path up.
    ///
    /// - Parameters:
    ///   - name: the file's name for errors.
    ///   - namespace: whose table it is; nil for our own.
    /// - Throws: `LinuxSystemError` if a line is not understood: a plan that overlooks a filesystem is worse
    ///   than none.
    static func parse(
        _ bytes: [UInt8], name: FilePath = "/proc/self/mountinfo", of namespace: MountNamespace? = nil
    ) throws(LinuxSystemError) -> [MountEntry] {
        var masked = mask(bytes)
        let lines = bytes.split(separator: UInt8(ascii: "\n"))
        // fmemopen(3) refuses an empty buffer on some C libraries.
        guard !lines.isEmpty else { return [] }

        guard let table = mnt_new_table() else { throw .mountTable(name, "out of memory") }
        defer { mnt_unref_table(table) }
        let status: CInt? = masked.withUnsafeMutableBytes { buffer in
            guard let stream = fmemopen(buffer.baseAddress, buffer.count, "r") else { return nil }
            defer { fclose(stream) }
            // libmount resolves a stream's name to find the process it belongs to. An empty one spares the look-up.
            return mnt_table_parse_stream(table, stream, "")
        }
        guard let status else { throw .mountTable(name, "out of memory", Errno(rawValue: Glibc.errno)) }
        guard status >= 0 else {
            throw .mountTable(name, "cannot be understood", Errno(rawValue: -status))
        }
        let entries = entries(of: table, lines.compactMap(superblockOptions), namespace)
        // libmount passes over lines that it does not understand, and `entries` over what cannot be a mount.
        guard entries.count == lines.count else {
            throw .mountTable(name, "\(lines.count - entries.count) of its lines cannot be understood")
        }
        return entries
    }

    /// The last field of a line, undecoded: libmount decodes names, and a comma in a decoded name looks like a
    /// separator.
    private static func superblockOptions(of line: ArraySlice<UInt8>) -> SuperblockOptions? {
        // After the single dash: type, source, options.
        var rest = line
        repeat {
            guard let blank = rest.firstIndex(of: UInt8(ascii: " ")) else { return nil }
            rest = rest[blank...].dropFirst()
        } while !rest.starts(with: "- ".utf8)
        let fields = rest.dropFirst(2).split(
            separator: UInt8(ascii: " "), maxSplits: 2, omittingEmptySubsequences: false)
        return fields.count == 3 ? SuperblockOptions(fields[2]) : nil
    }

    /// One line of a table for each superblock outside the given devices, and all unparsable lines. Only the third
    /// field is read: most services have a copy of the same mounts, and a user can have a hundred thousand.
    static func lines(of bytes: [UInt8], notOn devices: Set<DeviceNumber>) -> [UInt8] {
        var result: [UInt8] = []
        var known = devices
        bytes.withUnsafeBytes { table in
            var rest = table[...]
            // Often the same device in many lines.
            var last = rest[..<0]
            while !rest.isEmpty {
                let line = rest.prefix(through: UInt8(ascii: "\n"))
                rest = rest[line.endIndex...]
                let field = line.thirdField ?? line[..<line.startIndex]
                if !field.isEmpty, field.isEqual(to: last) { continue }
                last = field
                if let device = DeviceNumber(String(decoding: field, as: UTF8.self)),
                    !known.insert(device).inserted
                {
                    continue
                }
                result += line
            }
        }
        if let end = result.last, end != UInt8(ascii: "\n") { result.append(UInt8(ascii: "\n")) }
        return result
    }

    /// - Parameter options: The superblock's options of each line.
    private static func entries(
        of table: OpaquePointer, _ options: [SuperblockOptions], _ namespace: MountNamespace?
    ) -> [MountEntry] {
        guard let iterator = mnt_new_iter(CInt(MNT_ITER_FORWARD)) else { return [] }
        defer { mnt_free_iter(iterator) }
        var entries: [MountEntry] = []
        var filesystem: OpaquePointer?
        while mnt_table_next_fs(table, iterator, &filesystem) == 0, let filesystem, entries.count < options.count {
            // By its first line libmount guesses what the file is. A line of an fstab has no device number.
            guard mnt_fs_is_kernel(filesystem) == 1 else { continue }
            let mountPoint = path(mnt_fs_get_target(filesystem))
            // A field is missing.
            guard mountPoint.isAbsolute else { continue }
            let device = mnt_fs_get_devno(filesystem)
            var source = text(mnt_fs_get_source(filesystem))
            if source.hasPrefix(maskPrefix) { source.removeFirst(maskPrefix.count) }
            entries.append(
                MountEntry(
                    mountID: UInt64(clamping: mnt_fs_get_id(filesystem)),
                    parentID: UInt64(clamping: mnt_fs_get_parent_id(filesystem)),
                    device: DeviceNumber(deviceType: device),
                    root: path(mnt_fs_get_root(filesystem)), mountPoint: mountPoint,
                    mountOptions: text(mnt_fs_get_vfs_options(filesystem)),
                    filesystemType: text(mnt_fs_get_fstype(filesystem)), source: source,
                    superblockOptions: options[entries.count], namespace: namespace))
        }
        return entries
    }

    /// libmount turns the source `/dev/root` into the real device, and opens files in /proc, /sys and /dev for it.
    /// While filesystems are frozen no path is opened (P7), so that source is hidden from it.
    private static func mask(_ bytes: [UInt8]) -> [UInt8] {
        let wanted = Array(" /dev/root ".utf8)
        guard bytes.count >= wanted.count else { return bytes }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var position = 0
        while position < bytes.count {
            if bytes[position] == wanted[0], bytes[position...].starts(with: wanted) {
                result += [wanted[0]] + Array(maskPrefix.utf8)
                position += 1
            } else {
                result.append(bytes[position])
                position += 1
            }
        }
        return result
    }

    private static let maskPrefix = "\u{1}"

    private static func path(_ bytes: UnsafePointer<CChar>?) -> FilePath {
        bytes.map { FilePath(platformString: $0) } ?? FilePath()
    }

    private static func text(_ bytes: UnsafePointer<CChar>?) -> String {
        bytes.map { String(cString: $0) } ?? ""
    }
}

extension Slice<UnsafeRawBufferPointer> {
    /// Up to and including the byte; everything if the byte is missing. By memchr(3): a table can have megabytes.
    fileprivate func prefix(through byte: UInt8) -> Self {
        self[..<(position(of: byte).map { $0 + 1 } ?? endIndex)]
    }

    /// Between the second blank and the third.
    fileprivate var thirdField: Self? {
        let blank = UInt8(ascii: " ")
        guard let first = position(of: blank), let second = self[(first + 1)...].position(of: blank),
            let third = self[(second + 1)...].position(of: blank)
        else { return nil }
        return self[(second + 1)..<third]
    }

    fileprivate func isEqual(to other: Self) -> Bool {
        guard count == other.count, let start = UnsafeRawBufferPointer(rebasing: self).baseAddress,
            let otherStart = UnsafeRawBufferPointer(rebasing: other).baseAddress
        else { return isEmpty && other.isEmpty }
        return memcmp(start, otherStart, count) == 0
    }

    private func position(of byte: UInt8) -> Int? {
        let bytes = UnsafeRawBufferPointer(rebasing: self)
        guard let start = bytes.baseAddress, let found = memchr(start, CInt(byte), bytes.count) else { return nil }
        return startIndex + (UnsafeRawPointer(found) - start)
    }
}
