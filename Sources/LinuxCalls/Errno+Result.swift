import SystemPackage

extension Errno {
    /// Turns a shim's result (a negated errno on failure) into a value or a thrown `Errno`.
    @discardableResult
    static func check<Value: SignedInteger>(_ result: Value) throws(Errno) -> Value {
        guard result >= 0 else { throw Errno(rawValue: CInt(-result)) }
        return result
    }
}
