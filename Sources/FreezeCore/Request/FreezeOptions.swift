import SystemPackage

/// The options of one request, given with FREEZE. The default is a backup of the whole machine.
public struct FreezeOptions: Hashable, Sendable {
    /// The mount points of the filesystems to freeze or flush; nil for all.
    public var mountPoints: [FilePath]?
    /// Whether hooks are called.
    public var callsHooks: Bool
    /// Whether filesystems are frozen. Otherwise hooks hold their applications until THAW, while another agent freezes.
    public var freezes: Bool
    /// The longest window, within the limits of the channel and of `freeze.max_window`; nil for these limits.
    public var window: Duration?
    /// Whether no backup is made: the request never counts as a good backup.
    public var isRehearsal: Bool

    public init(
        mountPoints: [FilePath]? = nil, callsHooks: Bool = true, freezes: Bool = true, window: Duration? = nil,
        isRehearsal: Bool = false
    ) {
        self.mountPoints = mountPoints
        self.callsHooks = callsHooks
        self.freezes = freezes
        self.window = window
        self.isRehearsal = isRehearsal
    }

    /// The purpose in a few words; nil for a backup of the whole machine.
    public var purpose: String? {
        let words = [
            isRehearsal ? "rehearsal" : nil, freezes ? nil : "hooks only",
            mountPoints.map { $0.count == 1 ? "1 filesystem selected" : "\($0.count) filesystems selected" },
        ].compactMap(\.self)
        return words.isEmpty ? nil : words.joined(separator: ", ")
    }
}
