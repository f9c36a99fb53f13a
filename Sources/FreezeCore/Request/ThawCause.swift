/// Why the freezer thaws without having been told to.
public enum ThawCause: UInt8, Hashable, Sendable {
    case freezeDeadline = 1
    case windowDeadline = 2
}
