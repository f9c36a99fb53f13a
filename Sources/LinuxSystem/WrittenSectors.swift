import FreezeCore
import Glibc
import LinuxCalls
import Synchronization
import SystemPackage

/// How much has been written to the devices of one filesystem, by the kernel's count
/// (Documentation/ABI/stable/sysfs-block: `stat`).
///
/// Nothing is written to a frozen one. So a count that differs betrays somebody who has thawed it in the window, and
/// has perhaps frozen it again, which FITHAW does not tell. Opened once: no path is looked up to count again.
public final class WrittenSectors: Sendable {
    private let files: [FileDescriptor]
    private let mark = Mutex<UInt64?>(nil)

    /// Nil if one cannot be opened: part of the devices would prove nothing.
    ///
    /// `queue/iostats` is not asked. Where the admin has set it to 0, the count stands still, which is no growth. zram
    /// counts all the same.
    init?(of devices: some Collection<DeviceNumber>, paths: SystemPaths = .live) {
        let directories = devices.sorted().map(BlockDevices(paths: paths).directory(of:))
        var files: [FileDescriptor] = []
        for directory in directories {
            guard let file = try? openDescriptor(directory.appending("stat"), .readOnly) else { break }
            files.append(file)
        }
        self.files = files
        // From here on the deinitializer closes them.
        guard !files.isEmpty, files.count == devices.count else { return nil }
    }

    deinit {
        for file in files { try? file.close() }
    }

    /// Takes note of the count: from now on all is frozen. Never blocks.
    public func markAsFrozen() {
        let count = count
        mark.withLock { $0 = count }
    }

    /// Whether something was written since then. False if that cannot be told. Never blocks.
    public var hasGrown: Bool {
        guard let before = mark.withLock({ $0 }), let count else { return false }
        return count != before
    }

    /// Sectors that were written until now; nil if that cannot be told.
    var count: UInt64? {
        var sum: UInt64 = 0
        for file in files {
            // Of the reads their number, merged ones, sectors and milliseconds; the same of the writes. Of these the
            // sectors are counted before whoever has written is told that it is done (block/blk-mq.c:
            // `blk_update_request`).
            guard let sectors = Self.field(6, of: file) else { return nil }
            sum &+= sectors
        }
        return sum
    }

    /// A number of a line of numbers, from its start; nil if it cannot be read. Allocates nothing: it is read in the window.
    private static func field(_ index: Int, of file: FileDescriptor) -> UInt64? {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 512) { buffer in
            let length = pread(file.rawValue, buffer.baseAddress, buffer.count, 0)
            guard length > 0 else { return nil }
            var (number, count): (UInt64?, Int) = (nil, 0)
            for byte in buffer[..<length] {
                if let digit = UInt64(exactly: Int(byte) - Int(UInt8(ascii: "0"))), digit < 10 {
                    number = (number ?? 0) &* 10 &+ digit
                } else if let found = number {
                    if count == index { return found }
                    (number, count) = (nil, count + 1)
                }
            }
            return count == index ? number : nil
        }
    }
}

extension WrittenSectors {
    /// Counts for filesystems, in order; nil where writes prove nothing: the kernel swaps to a file past its filesystem.
    public static func watch(
        _ filesystems: [PlannedFilesystem], paths: SystemPaths = .live
    ) -> [WrittenSectors?] {
        let topology = StorageTopology(devices: BlockDevices(paths: paths), mounts: filesystems.map(\.mount))
        guard let swapping = devicesWithSwapFiles(paths) else { return filesystems.map { _ in nil } }
        return filesystems.map { filesystem in
            let isSwappedTo = swapping.contains {
                // On btrfs, stat(2) tells the subvolume's number, which is in no mount table.
                $0 == filesystem.device || $0.major == 0 && filesystem.device.major == 0
            }
            if isSwappedTo { return nil }
            return WrittenSectors(of: topology.blockDevices(of: filesystem.mount), paths: paths)
        }
    }

    /// Nil if the place of one cannot be found.
    private static func devicesWithSwapFiles(_ paths: SystemPaths) -> [DeviceNumber]? {
        // Filename, Type, Size, Used, Priority; escaped as in mountinfo.
        let file = paths.proc.appending("swaps")
        // There is none in a kernel without swap.
        guard let text = SmallFile.text(file) ?? (access(file.string, F_OK) == 0 ? nil : "") else { return nil }
        let lines = text.split(separator: "\n").dropFirst()
        var devices: [DeviceNumber] = []
        for fields in lines.map({ $0.split(whereSeparator: \.isWhitespace) })
        where fields.dropFirst().first == "file" {
            var status = stat()
            guard stat(String(fields[0]), &status) == 0 else { return nil }
            devices.append(DeviceNumber(deviceType: status.st_dev))
        }
        return devices
    }
}
