extension HistoryRecord {
    /// A backup that can be relied on, at its level.
    public var isGoodBackup: Bool { result == .succeeded && !isDryRun }
}
