/// The newest requests that decide the state of the backups. Rehearsals and dry runs are ignored.
public struct RecentRequests: Hashable, Sendable {
    /// The last request, for a part of the machine or the whole machine.
    public private(set) var last: RequestDigest?
    /// The last request for the whole machine.
    public private(set) var lastWhole: RequestDigest?
    /// The last good backup of the whole machine.
    public private(set) var lastGood: RequestDigest?
    /// Whether a part of the records since the last good backup cannot be read.
    public var isPartlyUnknown = false

    public init() {}

    /// Adds a request that is newer than the requests so far.
    public mutating func add(newer record: RequestRecord) {
        var new = RecentRequests()
        new.add(older: record)
        new.add(older: self)
        self = new
    }

    /// Adds a request that is older than the requests so far.
    public mutating func add(older record: RequestRecord) {
        guard !record.options.isRehearsal, !record.isDryRun else { return }
        let digest = RequestDigest(record)
        last = last ?? digest
        if record.purpose == nil { lastWhole = lastWhole ?? digest }
        if record.isGoodBackup { lastGood = lastGood ?? digest }
    }

    /// Adds requests that are older than the requests so far.
    public mutating func add(older others: RecentRequests) {
        if lastGood == nil, others.isPartlyUnknown { isPartlyUnknown = true }
        last = last ?? others.last
        lastWhole = lastWhole ?? others.lastWhole
        lastGood = lastGood ?? others.lastGood
    }

    /// Whether no older request can change the value.
    public var isComplete: Bool { lastGood != nil }
}
