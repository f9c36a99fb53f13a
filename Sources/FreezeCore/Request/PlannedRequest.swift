/// A hook as a plan lists it.
public struct PlannedHook: Hashable, Sendable {
    public let name: String
    public let kind: HookKind
    /// Why it must not be run; nil if it is trusted.
    public let refusal: String?
    /// The limit for each call; nil for the limit of the policy.
    public let timeout: Duration?
    /// What becomes of the request when this one fails; nil for what the policy says of all.
    public let onFailure: RequestPolicy.HookFailure?

    public init(
        name: String, kind: HookKind = .plain, refusal: String? = nil, timeout: Duration? = nil,
        onFailure: RequestPolicy.HookFailure? = nil
    ) {
        self.name = name
        self.kind = kind
        self.refusal = refusal
        self.timeout = timeout
        self.onFailure = onFailure
    }
}

/// The plan of a request, with every filesystem open, and the hooks.
public struct PlannedRequest: Hashable, Sendable {
    public let plan: FreezePlan
    public let hooks: [PlannedHook]

    public init(plan: FreezePlan, hooks: [PlannedHook]) {
        self.plan = plan
        self.hooks = hooks
    }
}
