import CLinux
import Glibc
import SystemPackage

/// A file mapped into memory, shared with every other process that maps it. Words in it are read and changed
/// atomically; the rest is written before it is shared.
public final class SharedMapping: @unchecked Sendable {
    public let bytes: UnsafeMutableRawBufferPointer

    /// Maps the whole file. The descriptor may be closed afterwards.
    public init(_ descriptor: FileDescriptor) throws(Errno) {
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
        let size = Int(status.st_size)
        guard size > 0 else { throw .invalidArgument }
        let start = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.rawValue, 0)
        guard let start, start != MAP_FAILED else { throw Errno(rawValue: errno) }
        bytes = UnsafeMutableRawBufferPointer(start: start, count: size)
    }

    deinit {
        munmap(bytes.baseAddress, bytes.count)
    }

    private func word(at offset: Int) -> UnsafeMutablePointer<UInt64>? {
        guard offset >= 0, offset % 8 == 0, offset + 8 <= bytes.count else { return nil }
        return bytes.baseAddress?.advanced(by: offset).assumingMemoryBound(to: UInt64.self)
    }

    public func load(at offset: Int) -> UInt64 {
        word(at: offset).map { clinux_load($0) } ?? 0
    }

    public func store(_ value: UInt64, at offset: Int) {
        if let word = word(at: offset) { clinux_store(word, value) }
    }

    /// Puts `desired` there if it holds `expected`; tells whether it did.
    public func exchange(at offset: Int, expected: UInt64, desired: UInt64) -> Bool {
        word(at: offset).map { clinux_compare_exchange($0, expected, desired) } ?? false
    }
}
