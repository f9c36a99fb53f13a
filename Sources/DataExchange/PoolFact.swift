/// One value that quiesce publishes, and its key.
public struct PoolFact: Hashable, Sendable {
    public let key: String
    public let value: String

    /// A key or value over the limits is a mistake of the caller: the record has the text cut at a character, with the
    /// zero byte.
    public init(_ key: String, _ value: String) {
        self.key = key
        self.value = value
    }

    /// The record: both fields padded with zero bytes.
    var record: [UInt8] {
        Self.field(key, size: PoolRecords.keySize) + Self.field(value, size: PoolRecords.valueSize)
    }

    /// The kernel counts the bytes up to the zero byte; a field without a zero byte crashes the daemon
    /// (__fortify_strlen).
    private static func field(_ text: String, size: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            let next = Array(String(scalar).utf8)
            guard bytes.count + next.count < size, scalar != "\0" else { break }
            bytes += next
        }
        return bytes + [UInt8](repeating: 0, count: size - bytes.count)
    }
}
