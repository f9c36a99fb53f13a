import FreezeCore
import Hooks
import Ledger
import LinuxCalls
import SystemPackage

/// The request that is served, as the driver holds it: what is open, its ledger, the hook that runs.
struct ActiveResources {
    let requestID: RequestID
    let channel: ChannelID
    /// The preparation that is awaited; its late result is dropped.
    var awaitedPreparation: StepID?
    var opened: OpenedRequest?
    var ledger: Ledger?
    var runningHook: Task<Void, Never>?
}
