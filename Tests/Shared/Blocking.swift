import LinuxCalls

/// Runs what blocks in a thread of its own: a blocked thread of the pool may be the last one that could let the other
/// tasks of a test go on.
func blocking<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        do {
            try OperatingSystemThread.start("test") { continuation.resume(with: Swift.Result { try body() }) }
        } catch {
            continuation.resume(throwing: error)
        }
    }
}
