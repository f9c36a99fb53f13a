import FreezeCore
import FreezerProtocol
import Hooks
import SystemPackage

/// The request that is served, as the driver holds it: what is open, its ledger, the hook that runs.
struct ActiveResources {
    let requestID: RequestID
    let channel: ChannelID
    let options: FreezeOptions
    var opened: OpenedRequest? {
        didSet { oldValue?.withdraw() }
    }
    /// The hooks of the first plan; a later plan of the same request keeps them.
    var hooks: [HookCandidate] = []
    /// What hooks are told is frozen: by the last plan that could be made.
    var mountPoints: [FilePath] = []
    var ledger: Ledger?
    var runningHook: HookCall?
    /// The session hooks that are held, by their index. Whatever is dropped is released.
    var sessions: [Int: HeldSession] = [:]
}
