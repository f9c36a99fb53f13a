/// Which superblock is stored on which, and what follows for the order of freezing (P6).
struct StorageGraph {
    struct Cycle: Error, Hashable {
        let members: [DeviceNumber]
    }

    private let storedOn: [DeviceNumber: Set<DeviceNumber>]

    /// Everything a superblock is stored on, directly or through others.
    private var allStoredOn: [DeviceNumber: Set<DeviceNumber>] = [:]

    /// - Throws: `Cycle` if one of `devices` leads into a ring.
    init(_ storedOn: [DeviceNumber: Set<DeviceNumber>], for devices: [DeviceNumber]) throws(Cycle) {
        self.storedOn = storedOn
        var path: [DeviceNumber] = []
        for device in devices.sorted() { _ = try closure(device, path: &path) }
    }

    private mutating func closure(_ device: DeviceNumber, path: inout [DeviceNumber]) throws(Cycle) -> Set<
        DeviceNumber
    > {
        if let known = allStoredOn[device] { return known }
        if let start = path.firstIndex(of: device) { throw Cycle(members: Array(path[start...])) }
        path.append(device)
        var all: Set<DeviceNumber> = []
        for next in (storedOn[device] ?? []).sorted() {
            all.insert(next)
            all.formUnion(try closure(next, path: &path))
        }
        path.removeLast()
        allStoredOn[device] = all
        return all
    }

    /// Everything a superblock is stored on. For one that the graph was not made for a ring is no error: it is not
    /// frozen, so nothing waits for it.
    func everything(below device: DeviceNumber) -> Set<DeviceNumber> {
        if let known = allStoredOn[device] { return known }
        var found: Set<DeviceNumber> = []
        var waiting = Array(storedOn[device] ?? [])
        while let next = waiting.popLast() {
            if found.insert(next).inserted { waiting += storedOn[next] ?? [] }
        }
        return found
    }

    /// The step of each filesystem that is frozen: one more than the highest of those stored on it, also through
    /// filesystems that are not frozen themselves.
    func steps(of frozen: [DeviceNumber]) -> [DeviceNumber: Int] {
        var steps: [DeviceNumber: Int] = [:]
        // Whoever stands on more has a larger set than all it stands on: this order visits the users first.
        let usersFirst = frozen.sorted { left, right in
            let leftCount = allStoredOn[left]?.count ?? 0
            let rightCount = allStoredOn[right]?.count ?? 0
            return leftCount == rightCount ? left < right : leftCount > rightCount
        }
        for device in usersFirst { steps[device] = 0 }
        for user in usersFirst {
            let next = (steps[user] ?? 0) + 1
            for base in allStoredOn[user] ?? [] {
                if let step = steps[base], step < next { steps[base] = next }
            }
        }
        return steps
    }
}
