/// A request's id, unique over restarts.
public struct RequestID: Hashable, Sendable, CustomStringConvertible {
    public let text: String

    public init(_ text: String) {
        self.text = text
    }

    public var description: String { text }
}

/// Names one piece of work that was asked for, so that its late answer is not taken for another's.
public struct WorkID: Hashable, Sendable {
    public let number: Int

    public init(number: Int) {
        self.number = number
    }
}
