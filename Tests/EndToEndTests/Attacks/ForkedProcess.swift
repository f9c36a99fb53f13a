import Foundation
import SystemPackage

/// A copy of the test process, for system calls that no program of the scratch world makes and no thread of a
/// multithreaded process can make. Killed with the object.
final class ForkedProcess {
    /// Calls for the child besides the C library's wrappers of system calls, looked up before the fork.
    struct Calls {
        typealias Call = @convention(c) (CLong, CLong) -> CLong
        typealias Unshare = @convention(c) (CInt) -> CInt
        typealias CloseRange = @convention(c) (CUnsignedInt, CUnsignedInt, CInt) -> CInt
        static let newMountNamespace: CInt = 0x0002_0000
        static let newUserNamespace: CInt = 0x1000_0000
        #if arch(x86_64)
            static let exit: CLong = 60
        #else
            static let exit: CLong = 93
        #endif

        let fork: @convention(c) () -> pid_t
        let system: Call
        let unshare: Unshare
        let closeRange: CloseRange

        init() throws {
            func find<Function>(_ name: String, _ type: Function.Type) throws -> Function {
                guard let symbol = dlsym(nil, name) else { throw Errno.noFunction }
                return unsafeBitCast(symbol, to: type)
            }
            fork = try find("fork", (@convention(c) () -> pid_t).self)
            system = try find("syscall", Call.self)
            unshare = try find("unshare", Unshare.self)
            closeRange = try find("close_range", CloseRange.self)
        }

        /// Ends the calling thread alone; exit(3) ends the process (exit(2)).
        func endThread() { _ = system(Self.exit, 0) }

        func becomeRootOfUserNamespace() {
            require(unshare(Self.newUserNamespace | Self.newMountNamespace) == 0)
            write("deny", to: "/proc/self/setgroups")
            write("0 0 1", to: "/proc/self/uid_map")
            write("0 0 1", to: "/proc/self/gid_map")
            require(mount("none", "/", nil, UInt(MS_REC | MS_PRIVATE), nil) == 0)
        }

        func write(_ text: StaticString, to path: StaticString) {
            let name = UnsafeRawPointer(path.utf8Start).assumingMemoryBound(to: CChar.self)
            let file = open(name, O_WRONLY)
            require(Glibc.write(file, text.utf8Start, text.utf8CodeUnitCount) == text.utf8CodeUnitCount)
            close(file)
        }

        /// Ends the child if `holds` is false.
        func require(_ holds: Bool) {
            if !holds { _exit(1) }
        }
    }

    let processID: pid_t
    private var isEnded = false

    /// Returns after the child has called the second argument of `body`.
    ///
    /// - Parameter body: the code of the child. The code takes no lock and no memory: another thread of the test
    ///   may have held the lock or the allocator at the fork.
    init(_ body: (Calls, _ isReady: () -> Void) -> Void) throws {
        try ScratchWorld.require()
        let calls = try Calls()
        let ready = try FileDescriptor.pipe()
        let process = calls.fork()
        if process == 0 {
            // The child keeps no filesystem and no pipe of the test.
            dup2(ready.writeEnd.rawValue, 0)
            _ = calls.closeRange(1, .max, 0)
            body(calls) {
                var byte: UInt8 = 1
                Glibc.write(0, &byte, 1)
                close(0)
            }
            _exit(0)
        }
        try ready.writeEnd.close()
        defer { try? ready.readEnd.close() }
        guard process > 0 else { throw Errno.resourceTemporarilyUnavailable }
        processID = process
        let isReady = try withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) {
            try ready.readEnd.read(into: $0)
        }
        guard isReady == 1 else { throw DaemonRig.Failure(description: "the forked process has ended") }
    }

    deinit { end() }

    func end() {
        if isEnded { return }
        isEnded = true
        kill(processID, SIGKILL)
        var status: CInt = 0
        _ = waitpid(processID, &status, 0)
    }
}
