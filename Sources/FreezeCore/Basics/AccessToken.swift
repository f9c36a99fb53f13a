/// A secret that a client must send. Neither `description` nor `customMirror` shows the secret.
public struct AccessToken: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    /// The least number of bytes. A shorter token could be guessed.
    public static let shortest = 16
    public static let longest = 1024

    /// The bytes, and zeros up to ``longest``.
    private let padded: [UInt8]
    private let count: Int

    /// - Parameter bytes: UTF-8, because clients send text. Nil is returned for fewer bytes than ``shortest``, or more than
    ///   ``longest``.
    public init?(_ bytes: some Collection<UInt8>) {
        guard (Self.shortest...Self.longest).contains(bytes.count), String(validating: bytes, as: UTF8.self) != nil
        else { return nil }
        padded = Self.padded(bytes)
        count = bytes.count
    }

    /// - Parameter file: The bytes of a file. A newline at the end does not belong to the token.
    public init?(file: [UInt8]) {
        self.init(file.last == UInt8(ascii: "\n") ? file.dropLast() : file[...])
    }

    /// Whether the offered text is the token. The time of the comparison depends neither on the token nor on the number
    /// of equal bytes.
    public func matches(_ offered: String) -> Bool {
        let bytes = Array(offered.utf8)
        let candidate = Self.padded(bytes.prefix(Self.longest))
        // The lengths distinguish a token from the same token with zero bytes at the end.
        var difference = UInt64(truncatingIfNeeded: bytes.count ^ count)
        for index in 0..<Self.longest { difference |= UInt64(padded[index] ^ candidate[index]) }
        return difference == 0
    }

    private static func padded(_ bytes: some Collection<UInt8>) -> [UInt8] {
        Array(bytes) + [UInt8](repeating: 0, count: longest - bytes.count)
    }

    public var description: String { "a token" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
