import CLinux
import SystemPackage

extension Errno {
    /// Turns a shim's result (a negated errno on failure) into a value or a thrown `Errno`.
    @discardableResult
    static func check<Value: SignedInteger>(_ result: Value) throws(Errno) -> Value {
        guard result >= 0 else { throw Errno(rawValue: CInt(-result)) }
        return result
    }

    /// The constant's name (`EBUSY`; strerrorname_np(3)), or `errno 524` for a number that glibc has no name for.
    public var symbolicName: String {
        clinux_error_name(rawValue).map { String(cString: $0) } ?? "errno \(rawValue)"
    }

    /// The errors with a name in glibc, by their names.
    private static let named = Dictionary(
        (1..<200).map { Errno(rawValue: $0) }.map { ($0.symbolicName, $0) },
        uniquingKeysWith: { first, _ in first })

    /// The error that ``symbolicName`` shows as this text; nil if there is none.
    public init?(symbolicName text: String) {
        if let known = Self.named[text] {
            self = known
        } else if text.hasPrefix("errno "), let number = CInt(text.dropFirst("errno ".count)) {
            self.init(rawValue: number)
        } else {
            return nil
        }
    }
}
