import Foundation
import SystemPackage

/// A program that must agree before a file is opened, and never does: fapolicyd or a virus scanner that stands still.
///
/// Whoever opens the file to truncate it waits for the answer with its write access to the filesystem in hand, and a
/// FIFREEZE waits for him (fs/namei.c: `mnt_want_write` comes before `vfs_open`).
final class OpenPermissionListener {
    /// What is waited for.
    enum Access: String, CaseIterable, Sendable {
        case opening
        /// Only the opening by execve(2).
        case executing

        fileprivate var mask: UInt64 {
            switch self {
            case .opening: Fanotify.openPermission
            case .executing: Fanotify.executionPermission
            }
        }
    }

    let file: FilePath
    private var group: FileDescriptor?
    private var writers: [RunningProgram] = []

    /// Watches a file that is there.
    init(_ file: FilePath, _ access: Access = .opening) throws {
        try ScratchWorld.require()
        self.file = file
        let descriptor = try Fanotify.initialize(Fanotify.classContent | Fanotify.closeOnExec, UInt32(O_RDONLY))
        group = descriptor
        try Fanotify.mark(descriptor, Fanotify.add, access.mask, file)
    }

    deinit { release() }

    /// A process that holds write access to the filesystem until the release, and then writes.
    func addWriter() throws -> RunningProgram {
        let writer = try RunningProgram("sh", ["-c", "echo written > \(file)"])
        try writer.closeInput()
        // /proc/PID/wchan and syscall of a thread that waits here are the only signs of it.
        try wait(for: "a writer that waits for permission") {
            let state = try String(contentsOfFile: "/proc/\(writer.processIdentifier)/syscall", encoding: .utf8)
            return state.split(separator: " ").contains(
                Substring("0x\(String(O_WRONLY | O_CREAT | O_TRUNC, radix: 16))"))
        }
        writers.append(writer)
        return writer
    }

    /// Lets everybody go on: without a listener every access is allowed.
    func release() {
        try? group?.close()
        group = nil
    }
}

/// fanotify_init(2) and fanotify_mark(2), which Swift's overlay of the C library does not have.
private enum Fanotify {
    // <linux/fanotify.h>
    static let classContent: UInt32 = 0x4
    static let closeOnExec: UInt32 = 0x1
    static let add: UInt32 = 0x1
    static let openPermission: UInt64 = 0x1_0000
    static let executionPermission: UInt64 = 0x4_0000

    private typealias Initialize = @convention(c) (UInt32, UInt32) -> CInt
    private typealias Mark = @convention(c) (CInt, UInt32, UInt64, CInt, UnsafePointer<CChar>) -> CInt

    static func initialize(_ flags: UInt32, _ eventFlags: UInt32) throws -> FileDescriptor {
        let function = unsafeBitCast(try symbol("fanotify_init"), to: Initialize.self)
        let descriptor = function(flags, eventFlags)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        return FileDescriptor(rawValue: descriptor)
    }

    static func mark(_ group: FileDescriptor, _ flags: UInt32, _ mask: UInt64, _ path: FilePath) throws {
        let function = unsafeBitCast(try symbol("fanotify_mark"), to: Mark.self)
        guard function(group.rawValue, flags, mask, AT_FDCWD, path.string) == 0 else {
            throw Errno(rawValue: errno)
        }
    }

    private static func symbol(_ name: String) throws -> UnsafeMutableRawPointer {
        // In the whole program, libc among it.
        guard let address = dlsym(nil, name) else { throw Errno.noFunction }
        return address
    }
}
