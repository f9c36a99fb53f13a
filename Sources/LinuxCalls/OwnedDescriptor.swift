import SystemPackage

/// A descriptor that several threads share: the last one closes the descriptor, also if left behind (``AbandonableWork``).
public final class OwnedDescriptor: Sendable {
    public let descriptor: FileDescriptor

    public init(_ descriptor: FileDescriptor) {
        self.descriptor = descriptor
    }

    deinit { try? descriptor.close() }
}
