/// Whose conventions a hook was written for.
public enum HookStyle: String, Sendable, Hashable, CaseIterable {
    /// Ours, as docs/hooks.md has them.
    case quiesce
    /// Those of `fsfreeze-hook`, the script that QEMU's guest agent runs (scripts/qemu-guest-agent/fsfreeze-hook): what is
    /// not executable is passed over, and a hook that fails does not end the backup.
    case qemu
    /// Those of VMware's tools (open-vm-tools, services/plugins/vmbackup/scriptOps.c): after a failure the scripts are
    /// called with `freezeFail`, and a script that fails ends the backup.
    case vmware

    /// What becomes of a request when one of its hooks fails; nil for what the configuration says of all.
    public var onFailure: RequestPolicy.HookFailure? {
        switch self {
        case .quiesce: nil
        case .qemu: .proceed
        case .vmware: .abort
        }
    }

    /// What a hook is called with.
    ///
    /// - Parameter hasFailed: the request, as far as it is known.
    public func argument(_ kind: HookKind, _ phase: HookPhase, hasFailed: Bool) -> String {
        switch (self, kind, phase) {
        case (_, .session, _): "session"
        case (.vmware, _, .thaw) where hasFailed: "freezeFail"
        case (_, _, let phase): phase.rawValue
        }
    }
}
