import FreezeCore
import Synchronization

private let lastOperation = Atomic<UInt64>(0)

extension OperationID {
    /// An id that no other operation of this process has, on whatever channel.
    static func next() -> OperationID {
        OperationID(number: lastOperation.wrappingAdd(1, ordering: .relaxed).newValue)
    }
}
