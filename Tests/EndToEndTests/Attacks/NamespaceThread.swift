import Foundation
import FreezeCore
import LinuxCalls
import SystemPackage

/// A thread of the test process with a mount namespace of its own and a filesystem mounted only there. Ends with
/// the object.
final class NamespaceThread {
    private enum State: Equatable {
        case starting
        case failed(Errno)
        case running(pid_t)
        case ending
        case ended
    }

    let threadID: pid_t
    private let state: Monitor<State>

    init(mounting filesystem: UnheldFilesystem) throws {
        try ScratchWorld.require()
        let state = Monitor(State.starting)
        let (device, mountPoint) = (filesystem.device, filesystem.mountPoint)
        try OperatingSystemThread.start("namespace") {
            do throws(Errno) {
                try PrivateMounts.enter()
                try PrivateMounts.mount(device, on: mountPoint, type: "ext4")
            } catch {
                return state.update { $0 = .failed(error) }
            }
            // PID/task/TID
            let name = try? readSymbolicLink("/proc/thread-self").lastComponent?.string
            state.update { $0 = .running(name.flatMap { pid_t($0) } ?? 0) }
            state.wait(until: nil) { $0 == .ending ? () : nil }
            try? PrivateMounts.unmount(mountPoint)
            state.update { $0 = .ended }
        }
        self.state = state
        let began = state.wait(until: .now + .seconds(10)) { $0 == .starting ? nil : $0 }
        guard case .running(let thread) = began else {
            throw DaemonRig.Failure(
                description: "no thread with a mount namespace of its own: \(began ?? .starting)")
        }
        threadID = thread
    }

    deinit { state.update { $0 = $0 == .ended ? .ended : .ending } }

    /// The way from outside to a path of the namespace.
    func path(_ path: FilePath) -> FilePath { FilePath("/proc/\(getpid())/task/\(threadID)/root\(path)") }

    func end() {
        state.update { $0 = .ending }
        _ = state.wait(until: .now + .seconds(10)) { $0 == .ended ? () : nil }
    }
}
