/// The state of the machine's backups in one word, for the host.
public enum BackupState: String, Hashable, Sendable, CaseIterable {
    /// The last backup of the whole machine is good, no later request failed, and nothing needs attention.
    case ok
    /// No failure is known, but an admin has to act: see ``StateReport/causes``.
    case attention
    /// The last backup of the whole machine, or a later request for a part of it, failed or lost its consistency.
    case failed
}
