/// Which filesystem is frozen before which (P6): by what it is stored on, then by the admin's rules, then filesystems on
/// hidden storage before all others.
public struct FreezeOrder {
    /// A rule of `[[filesystems.order]]`.
    public struct Rule: Hashable, Sendable {
        /// Matching filesystems are frozen before those that match ``then``, and thawed after.
        public var first: [FilesystemSelector]
        public var then: [FilesystemSelector]

        public init(first: [FilesystemSelector], then: [FilesystemSelector]) {
            self.first = first
            self.then = then
        }
    }

    /// 0 is frozen first.
    let levels: [DeviceNumber: Int]
    private let rules: [DeviceNumber: Set<DeviceNumber>]
    private let hidden: [DeviceNumber: HiddenStorage]

    /// - Parameters:
    ///   - frozen: The filesystems to freeze.
    ///   - storage: What each filesystem is stored on; has no ring.
    /// - Throws: The ring, if the rules contradict one another, or the storage.
    init(
        of frozen: [Superblock], storedOn: [DeviceNumber: Set<DeviceNumber>], storage: StorageGraph,
        hiddenStorage: [DeviceNumber: HiddenStorage], rules: [Rule]
    ) throws(StorageGraph.Cycle) {
        let devices = frozen.map(\.device)
        self.rules = Self.edges(of: rules, among: frozen)
        var edges = storedOn.merging(self.rules) { $0.union($1) }
        let ruled = try StorageGraph(edges, for: devices)
        var hidden: [DeviceNumber: HiddenStorage] = [:]
        for device in devices {
            let below = [device] + storage.everything(below: device).sorted()
            hidden[device] = below.lazy.compactMap { hiddenStorage[$0] }.first
        }
        // Not before a filesystem that a rule has put before one of them: that would be a ring.
        let others = devices.filter {
            hidden[$0] == nil && ruled.everything(below: $0).isDisjoint(with: hidden.keys)
        }
        for device in hidden.keys { edges[device, default: []].formUnion(others) }
        levels = try StorageGraph(edges, for: devices).levels(of: devices)
        self.hidden = hidden
    }

    private static func edges(of rules: [Rule], among frozen: [Superblock]) -> [DeviceNumber: Set<DeviceNumber>] {
        var edges: [DeviceNumber: Set<DeviceNumber>] = [:]
        for rule in rules {
            let first = frozen.filter { superblock in rule.first.contains { superblock.matches($0) } }.map(
                \.device)
            let then = frozen.filter { superblock in rule.then.contains { superblock.matches($0) } }.map(\.device)
            for device in first { edges[device, default: []].formUnion(then.filter { $0 != device }) }
        }
        return edges
    }

    /// Why the filesystem is not frozen with the last ones; nil if it is.
    ///
    /// - Parameters:
    ///   - hosts: The filesystems that it is directly stored on.
    ///   - names: Of the frozen filesystems.
    func reason(for device: DeviceNumber, hosts: Set<DeviceNumber>, names: [DeviceNumber: String]) -> String? {
        var clauses: [String] = []
        let hosts = hosts.sorted().compactMap { names[$0] }
        if !hosts.isEmpty {
            clauses.append("before \(hosts.joined(separator: ", ")), which holds its image file")
        }
        let later = (rules[device] ?? []).sorted().compactMap { names[$0] }
        if !later.isEmpty {
            clauses.append("before \(later.joined(separator: ", ")), by [[filesystems.order]]")
        }
        if let storage = hidden[device] {
            clauses.append(
                "before local disks, since a process of this machine may serve \(storage.rawValue) from one")
        }
        return clauses.isEmpty ? nil : clauses.joined(separator: "; ")
    }
}
