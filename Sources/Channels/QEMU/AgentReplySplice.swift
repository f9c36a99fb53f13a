/// Puts the client's `id` in place of our tag in a reply of qemu-ga. All other bytes stay: the members of a reply come in
/// any order, and a number can exceed every type.
enum AgentReplySplice {
    /// - Parameters:
    ///   - tag: The `id` of the reply, a string without escapes.
    ///   - id: Nil to remove the member.
    ///   - line: With or without a newline.
    /// - Returns: The line, with a newline; nil unless the line is a reply with such a member.
    static func replacing(id tag: String, with id: AgentValue?, in line: [UInt8]) -> [UInt8]? {
        let body = line.last == UInt8(ascii: "\n") ? line.dropLast() : line[...]
        guard AgentReplyCheck.isReply(body), let member = idMember(of: body),
            body[member.value].elementsEqual("\"\(tag)\"".utf8)
        else { return nil }
        let newline = [UInt8(ascii: "\n")]
        if let id {
            return body[..<member.value.lowerBound] + Array(id.encoded.utf8) + body[member.value.upperBound...]
                + newline
        }
        return body[..<member.whole.lowerBound] + body[member.whole.upperBound...] + newline
    }

    /// The `id` of a reply. Nil unless the `id` is a string without escapes.
    static func id(of line: [UInt8]) -> String? {
        guard let member = idMember(of: line[...]) else { return nil }
        let value = line[member.value]
        guard value.count >= 2, value.first == UInt8(ascii: "\"") else { return nil }
        return String(decoding: value.dropFirst().dropLast(), as: UTF8.self)
    }

    /// The member `id` of the outermost object: the value, and the whole member with a comma.
    private static func idMember(
        of line: ArraySlice<UInt8>
    ) -> (value: Range<Int>, whole: Range<Int>)? {
        var depth = 0
        /// Where the current string or the current member began.
        var (stringStart, memberStart) = (0, 0)
        var isInString = false
        var isEscaped = false
        var lastString: Range<Int>?
        var valueStart: Int?
        var comma: Int?
        for index in line.indices {
            let byte = line[index]
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                    lastString = stringStart..<index + 1
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): (isInString, stringStart) = (true, index)
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                if depth == 1 { memberStart = index + 1 }
            case UInt8(ascii: ":") where depth == 1:
                if let lastString, line[lastString].elementsEqual("\"id\"".utf8) { valueStart = index + 1 }
            case UInt8(ascii: ",") where depth == 1, UInt8(ascii: "}") where depth == 1:
                guard let valueStart else {
                    (memberStart, comma) = (index + 1, index)
                    if byte == UInt8(ascii: "}") { return nil }
                    continue
                }
                let value = trimmed(line, valueStart..<index)
                if let comma { return (value, comma..<index) }
                // The first member goes with the following comma and blanks.
                let end =
                    byte == UInt8(ascii: ",")
                    ? line[(index + 1)...].firstIndex { !AgentReplyCheck.isBlank($0) } ?? index : index
                return (value, memberStart..<end)
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            default: break
            }
        }
        return nil
    }

    private static func trimmed(_ line: ArraySlice<UInt8>, _ range: Range<Int>) -> Range<Int> {
        var range = range
        while let first = range.first, AgentReplyCheck.isBlank(line[first]) { range = range.dropFirst() }
        while let last = range.last, AgentReplyCheck.isBlank(line[last]) { range = range.dropLast() }
        return range
    }
}
