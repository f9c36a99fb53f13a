/// Looks for the line with which a session hook says that it holds what it is to hold.
struct ReadyLine: Sendable {
    private static let word = Array("READY".utf8)

    private(set) var wasSeen = false
    /// How much of the word the line so far is made of; nil if it is another line.
    private var matched: Int? = 0

    /// Takes the next piece of output; a line may be spread over several.
    mutating func scan(_ bytes: some Sequence<UInt8>) {
        guard !wasSeen else { return }
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                if matched == Self.word.count {
                    wasSeen = true
                    return
                }
                matched = 0
            } else if let count = matched {
                matched = count < Self.word.count && byte == Self.word[count] ? count + 1 : nil
            }
        }
    }
}
