import CLinux
import Glibc
import SystemPackage

/// Reads a small file whole (procfs and sysfs files tell no size). A FIFO in its place is not waited for.
///
/// - Parameter limit: Bytes that it may have.
/// - Throws: EFBIG if it has more: part of a file may mean something else than the whole.
public func readWholeFile(_ path: FilePath, limit: Int = 1 << 20) throws(Errno) -> [UInt8] {
    let descriptor = try openDescriptor(path, .readOnly, options: .nonBlocking)
    defer { try? descriptor.close() }
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16_384)
    while true {
        let count = read(descriptor.rawValue, &buffer, buffer.count)
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { throw Errno(rawValue: errno) }
        if count == 0 { return content }
        guard content.count + count <= limit else { throw .fileTooLarge }
        content += buffer[..<count]
    }
}

/// Writes every byte.
public func writeAll(_ bytes: [UInt8], to descriptor: FileDescriptor) throws(Errno) {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(descriptor.rawValue, $0.baseAddress, $0.count) }
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { throw Errno(rawValue: errno) }
        rest = rest.dropFirst(count)
    }
}

/// Replaces a file as a whole: readers find the old content or the new one, also after a crash. The file is private.
public func replaceFile(_ path: FilePath, by bytes: [UInt8]) throws(Errno) {
    let new = FilePath(path.string + ".new")
    unlink(new.string)
    let file = try openDescriptor(
        new, .writeOnly, options: [.create, .exclusiveCreate, .noFollow], permissions: .ownerReadWrite)
    do throws(Errno) {
        defer { try? file.close() }
        try writeAll(bytes, to: file)
        guard fsync(file.rawValue) == 0, rename(new.string, path.string) == 0 else { throw Errno(rawValue: errno) }
    } catch {
        unlink(new.string)
        throw error
    }
}

/// Opens a path, always close-on-exec.
public func openDescriptor(
    _ path: FilePath, _ mode: FileDescriptor.AccessMode, options: FileDescriptor.OpenOptions = [],
    permissions: FilePermissions? = nil
) throws(Errno) -> FileDescriptor {
    do {
        return try FileDescriptor.open(
            path, mode, options: options.union(.closeOnExec), permissions: permissions)
    } catch let error as Errno {
        throw error
    } catch {
        throw .invalidArgument
    }
}

/// Reads what one read(2) gives, for devices where one read is one message. Empty at the end of the file.
public func readOnce(_ descriptor: FileDescriptor, atMost capacity: Int) throws(Errno) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: capacity)
    let count = read(descriptor.rawValue, &buffer, capacity)
    guard count >= 0 else { throw Errno(rawValue: errno) }
    return Array(buffer[..<count])
}

/// Writes with a single write(2), for devices where one write is one message.
///
/// - Throws: What write(2) gave; EIO if it took only a part, which such a device never does.
public func writeOnce(_ bytes: [UInt8], to descriptor: FileDescriptor) throws(Errno) {
    while true {
        let count = write(descriptor.rawValue, bytes, bytes.count)
        if count == bytes.count { return }
        // Interrupted before anything was written: nobody has seen it.
        if count < 0 && errno == EINTR { continue }
        throw count < 0 ? Errno(rawValue: errno) : .ioError
    }
}
