/// A consistency level in words, with the hooks that it rests on: `application (hooks: 50-postgresql)`.
public func levelText(_ level: String?, workingHooks: [String]?) -> String {
    let level = level ?? "unknown"
    guard level == "application", let hooks = workingHooks, !hooks.isEmpty else { return level }
    let names = hooks.prefix(4).joined(separator: ", ")
    return "\(level) (hooks: \(names)\(hooks.count > 4 ? " and \(hooks.count - 4) more" : ""))"
}
