import Glibc
import SystemPackage

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
