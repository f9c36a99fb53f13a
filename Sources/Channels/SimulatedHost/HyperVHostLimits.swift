/// How long the simulated driver waits for an answer before it tells the host HV_E_FAIL.
public struct HyperVHostLimits: Hashable, Sendable {
    /// VSS_FREEZE_TIMEOUT of hv_snapshot.c.
    public var freeze: Duration
    /// HV_UTIL_TIMEOUT of hyperv_vmbus.h, for every other operation.
    public var other: Duration

    public init(freeze: Duration = .seconds(900), other: Duration = .seconds(30)) {
        self.freeze = freeze
        self.other = other
    }

    public func timeout(of operation: HyperVOperation) -> Duration {
        operation == .freeze ? freeze : other
    }
}
