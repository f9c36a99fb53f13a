import LinuxCalls
import SystemPackage

/// Runs work that may block on a thread of its own, so that it never holds up Swift's cooperative pool (P9).
///
/// - Throws: EAGAIN if no thread can be had.
func onOwnThread<Value: Sendable>(
    _ name: String, _ work: @escaping @Sendable () -> Value
) async throws(Errno) -> Value {
    let result: Result<Value, Errno> = await withCheckedContinuation { continuation in
        do throws(Errno) {
            try OperatingSystemThread.start(name) { continuation.resume(returning: .success(work())) }
        } catch {
            continuation.resume(returning: .failure(error))
        }
    }
    return try result.get()
}
