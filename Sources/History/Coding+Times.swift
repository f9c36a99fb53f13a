import FreezeCore
import SystemPackage

/// A part of a record whose times count from the start of the request.
public protocol TimedPart {
    func encode(to encoder: any Encoder, since start: Moment) throws
    init(from decoder: any Decoder, since start: Moment) throws
}

extension KeyedEncodingContainer {
    mutating func encodeIfPresent(_ part: (some TimedPart)?, forKey key: Key, since start: Moment) throws {
        if let part { try part.encode(to: superEncoder(forKey: key), since: start) }
    }

    public mutating func encode(_ parts: [some TimedPart], forKey key: Key, since start: Moment) throws {
        var list = nestedUnkeyedContainer(forKey: key)
        for part in parts { try part.encode(to: list.superEncoder(), since: start) }
    }

    mutating func encodeIfTrue(_ flag: Bool, forKey key: Key) throws {
        if flag { try encode(true, forKey: key) }
    }

    mutating func encodeUnlessEmpty(_ texts: [String], forKey key: Key) throws {
        if !texts.isEmpty { try encode(texts, forKey: key) }
    }
}

extension KeyedDecodingContainer {
    /// Whether a member is there, and not null.
    func has(_ key: Key) -> Bool { contains(key) && (try? decodeNil(forKey: key)) == false }

    func decodePart<Part: TimedPart>(forKey key: Key, since start: Moment) throws -> Part? {
        guard has(key) else { return nil }
        return try Part(from: superDecoder(forKey: key), since: start)
    }

    func decode<Part: TimedPart>(_: [Part].Type, forKey key: Key, since start: Moment) throws -> [Part] {
        var list = try nestedUnkeyedContainer(forKey: key)
        var parts: [Part] = []
        while !list.isAtEnd { parts.append(try Part(from: list.superDecoder(), since: start)) }
        return parts
    }

    /// - Throws: Also for a duration longer than a request can take, of an edited file.
    func decodeDuration(forKey key: Key) throws -> Duration {
        let milliseconds = try decode(Double.self, forKey: key)
        guard abs(milliseconds) <= 1e12 else { throw corrupted(key, "not a duration") }
        return .microseconds(Int64((milliseconds * 1000).rounded()))
    }

    func decodeFlag(forKey key: Key) throws -> Bool { try decodeIfPresent(Bool.self, forKey: key) == true }

    func decodePath(forKey key: Key) throws -> FilePath? {
        guard let text = try decodeIfPresent(String.self, forKey: key) else { return nil }
        guard let path = FilePath(escaped: text) else { throw corrupted(key, "not a path") }
        return path
    }

    func decodePaths(forKey key: Key) throws -> [FilePath]? {
        guard let texts = try decodeIfPresent([String].self, forKey: key) else { return nil }
        let paths = texts.compactMap { FilePath(escaped: $0) }
        guard paths.count == texts.count else { throw corrupted(key, "not a path") }
        return paths
    }

    func decodeDevice(forKey key: Key) throws -> DeviceNumber {
        guard let device = DeviceNumber(try decode(String.self, forKey: key)) else {
            throw corrupted(key, "not a device number")
        }
        return device
    }

    func decodeDevices(forKey key: Key) throws -> [DeviceNumber] {
        let texts = try decodeIfPresent([String].self, forKey: key) ?? []
        let devices = texts.compactMap { DeviceNumber($0) }
        guard devices.count == texts.count else { throw corrupted(key, "not a device number") }
        return devices
    }

    func decodeRaw<Value: RawRepresentable<String>>(_: Value.Type, forKey key: Key) throws -> Value {
        guard let value = Value(rawValue: try decode(String.self, forKey: key)) else {
            throw corrupted(key, "an unknown value")
        }
        return value
    }

    func corrupted(_ key: Key, _ problem: String) -> DecodingError {
        .dataCorruptedError(forKey: key, in: self, debugDescription: problem)
    }
}

/// Milliseconds, to the microsecond: more digits are noise, and make the line long.
func roundedMilliseconds(_ duration: Duration) -> Double {
    (duration.milliseconds * 1000).rounded() / 1000
}
