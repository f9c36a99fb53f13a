import SystemPackage

/// What a failed request names as the cause, for those who look for it by its name.
public enum FailureSubject: Hashable, Sendable {
    case filesystem(FilePath)
    case hook(String)
}
