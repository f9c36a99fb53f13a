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
    let steps: [DeviceNumber: Int]
    private let storedOn: [DeviceNumber: Set<DeviceNumber>]
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
        self.storedOn = storedOn
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
        steps = try StorageGraph(edges, for: devices).steps(of: devices)
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
    /// - Parameter names: Of all filesystems.
    func reason(for device: DeviceNumber, names: [DeviceNumber: String]) -> String? {
        var clauses: [String] = []
        let hosts = (storedOn[device] ?? []).sorted()
        let frozen = hosts.filter(isFrozen)
        if !frozen.isEmpty {
            let list = frozen.compactMap { names[$0] }.joined(separator: ", ")
            clauses.append("before \(list), which holds its image file")
        }
        for host in hosts where !isFrozen(host) {
            let list = nearestFrozen(below: host).subtracting(frozen).sorted().compactMap { names[$0] }
                .joined(separator: ", ")
            let way = names[host].map { " by way of \($0)" } ?? ""
            if !list.isEmpty { clauses.append("before \(list), which holds its image file\(way)") }
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

    private func isFrozen(_ device: DeviceNumber) -> Bool { steps[device] != nil }

    /// The first frozen filesystems on the ways down from one that is not frozen, such as a container's overlay.
    private func nearestFrozen(below device: DeviceNumber) -> Set<DeviceNumber> {
        var found: Set<DeviceNumber> = []
        var visited: Set<DeviceNumber> = [device]
        var waiting = Array(storedOn[device] ?? [])
        while let next = waiting.popLast() {
            guard visited.insert(next).inserted else { continue }
            if isFrozen(next) { found.insert(next) } else { waiting += storedOn[next] ?? [] }
        }
        return found
    }
}
