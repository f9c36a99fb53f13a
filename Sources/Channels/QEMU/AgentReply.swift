/// A reply to a client: a line, with the members in the order of qemu-ga.
struct AgentReply: Hashable, Sendable {
    let result: Result<String, AgentError>
    /// Of the request.
    let id: AgentValue?
    /// True for a reply after 0xFF, which marks the begin for the client.
    let isDelimited: Bool

    /// - Parameter result: The value of `return`, as JSON.
    init(_ result: Result<String, AgentError>, id: AgentValue?, isDelimited: Bool = false) {
        self.result = result
        self.id = id
        self.isDelimited = isDelimited
    }

    var line: [UInt8] {
        let text =
            switch result {
            case .success(let value): "{\"return\": \(value)\(id.map { ", \"id\": \($0.encoded)" } ?? "")}"
            case .failure(let error):
                "{\(id.map { "\"id\": \($0.encoded), " } ?? "")\"error\": {\"class\": \"\(error.errorClass.rawValue)\", "
                    + "\"desc\": \(AgentValue.encoded(error.description))}}"
            }
        return (isDelimited ? [0xFF] : []) + Array(text.utf8) + [UInt8(ascii: "\n")]
    }
}
