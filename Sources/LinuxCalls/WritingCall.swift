import CLinux
import Glibc
import SystemPackage

/// A system call that a task is in, by number in proc_pid_syscall(5).
public struct WritingCall: Sendable {
    public let isSplice: Bool
    /// The index of the target descriptor among the arguments, counted from 0.
    public let argument: Int
    /// Whether the number stands for a write in 32-bit programs only. In the table of 64-bit programs the number is of
    /// another call: 4 is stat(2) on x86-64.
    public let isAmbiguous: Bool
    /// Whether the data comes from another descriptor that is no pipe.
    public let readsFile: Bool

    /// - Returns: nil for a call without a target descriptor.
    public init?(number: Int) {
        let place = Int(clinux_written_descriptor(number, true))
        guard place >= 0 else { return nil }
        argument = place
        isSplice = clinux_is_splice(number)
        isAmbiguous = clinux_is_32_bit_write(number)
        readsFile = clinux_written_descriptor(number, false) < 0
    }
}

/// The mount ids of pipes, sockets and memory files: internal mounts of the kernel, in no mount table.
public func kernelMountIDs() -> Set<UInt64> {
    var ids = [UInt64](repeating: 0, count: 8)
    let count = clinux_kernel_mount_ids(&ids, ids.count)
    return Set(ids.prefix(count))
}

/// The text from one read(2) of a small file, without the final newline; nil if the file cannot be read.
///
/// - Parameters:
///   - directory: The base of the relative path.
///   - capacity: Longer text is cut.
public func readText(_ path: String, in directory: FileDescriptor, capacity: Int) -> String? {
    withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 1) { buffer in
        let count = clinux_read_at(directory.rawValue, path, buffer.baseAddress, capacity)
        guard count >= 0 else { return nil }
        var text = UnsafeRawBufferPointer(buffer)[..<count]
        if text.last == UInt8(ascii: "\n") { text = text.dropLast() }
        return String(decoding: text, as: UTF8.self)
    }
}

/// The numeric names in a directory of /proc: all processes, or the tasks of a process. Empty if the directory
/// cannot be read. Makes no path for each of the thousands of entries.
///
/// - Parameter directory: The base of the relative path.
public func numberedEntries(_ path: String, in directory: FileDescriptor) -> [Int32] {
    let descriptor = openat(directory.rawValue, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    guard let stream = fdopendir(descriptor) else {
        close(descriptor)
        return []
    }
    defer { closedir(stream) }
    var numbers: [Int32] = []
    while let entry = readdir(stream) {
        let number = withUnsafePointer(to: &entry.pointee.d_name) { name in
            name.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: name.pointee)) { atoi($0) }
        }
        if number > 0 { numbers.append(number) }
    }
    return numbers
}
