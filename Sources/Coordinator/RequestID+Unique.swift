import FreezeCore

extension RequestID {
    /// A new id: unique over restarts and machines for all that matters, short enough to read out.
    static func unique() -> RequestID {
        let number = UInt64.random(in: 0...UInt64.max)
        let digits = String(number, radix: 16)
        return RequestID(String(repeating: "0", count: 16 - digits.count) + digits)
    }
}
