/// The records of a pool of Hyper-V's data exchange (tools/hv/hv_kvp_daemon.c: struct kvp_record): a key of 512 bytes and a
/// value of 2,048 bytes, both text that ends with a zero byte. Reads and writes no file.
///
/// Readers find records by the index: a record is changed in place, and a new record follows the last record.
struct PoolRecords {
    static let keySize = 512
    static let valueSize = 2048
    static let size = keySize + valueSize
    /// Hosts enumerate a pool record by record. cloud-init, which only appends, stays far below the limit.
    static let limit = 400

    /// A change of the file.
    struct Write: Hashable {
        let offset: Int
        let bytes: [UInt8]
        /// Whether the record is appended.
        var isNew = false
        /// Whether the part of a record at the end is cut off first.
        var replacesTail = false
    }

    struct Update: Hashable {
        var writes: [Write] = []
        var problems: [PoolProblem] = []
    }

    private let bytes: [UInt8]
    /// The number of whole records. Readers ignore a part of a record at the end.
    let count: Int

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        count = bytes.count / Self.size
    }

    /// The text of a field up to its zero byte; nil without one.
    private func text(at offset: Int, size: Int) -> ArraySlice<UInt8>? {
        let field = bytes[offset..<(offset + size)]
        return field.firstIndex(of: 0).map { field[..<$0] }
    }

    private func key(_ index: Int) -> ArraySlice<UInt8>? { text(at: index * Self.size, size: Self.keySize) }

    private func value(_ index: Int) -> ArraySlice<UInt8>? {
        text(at: index * Self.size + Self.keySize, size: Self.valueSize)
    }

    private var tail: ArraySlice<UInt8> { bytes[(count * Self.size)...] }

    // MARK: Update

    /// The changes after which every fact has its value. All other bytes stay as they are.
    func update(_ facts: [PoolFact]) -> Update {
        var update = Update()
        var new: [UInt8] = []
        for fact in facts {
            let name = Array(fact.key.utf8)
            let places = (0..<count).filter { key($0).map { $0.elementsEqual(name) } ?? false }
            if places.isEmpty { new += fact.record }
            // All records of the key are changed: an old second record could show a false "ok".
            if places.count > 1 { update.problems.append(.repeated(key: fact.key, count: places.count)) }
            for place in places where !holds(fact.record, at: place) {
                update.writes.append(Write(offset: place * Self.size, bytes: fact.record))
            }
        }
        if !new.isEmpty {
            if let obstacle = obstacle(to: new.count / Self.size, facts) {
                update.problems.append(obstacle)
            } else {
                update.writes.append(
                    Write(offset: count * Self.size, bytes: new, isNew: true, replacesTail: !tail.isEmpty))
            }
        }
        update.problems += flaws(besides: facts)
        return update
    }

    private func holds(_ record: [UInt8], at place: Int) -> Bool {
        bytes[(place * Self.size)...].prefix(Self.size).elementsEqual(record)
    }

    /// Under the locks, a part of a record at the end is left by a program that ended in the middle of a write. quiesce
    /// overwrites only a part of its own record.
    private func obstacle(to new: Int, _ facts: [PoolFact]) -> PoolProblem? {
        let isOwn = facts.contains { tail.starts(with: Array($0.key.utf8) + [0]) }
        if !tail.isEmpty, !isOwn { return .incomplete(bytes: tail.count) }
        return count + new > Self.limit ? .full(records: count) : nil
    }

    /// The records of other programs that crash or stop readers.
    private func flaws(besides facts: [PoolFact]) -> [PoolProblem] {
        let own = facts.map { Array($0.key.utf8) }
        let others = (0..<count).filter { index in
            !own.contains { name in key(index).map { $0.elementsEqual(name) } ?? false }
        }
        let endless = others.filter { key($0) == nil || value($0) == nil }
        let unreadable = others.filter { index in
            [key(index), value(index)].compactMap(\.self).contains { String(validating: $0, as: UTF8.self) == nil }
        }
        return [
            endless.first.map { PoolProblem.endless(record: $0, count: endless.count) },
            unreadable.first.map { PoolProblem.notText(record: $0, count: unreadable.count) },
        ].compactMap(\.self)
    }
}
