import FreezeCore
import Testing

struct AccessTokenTests {
    private static let text = "0123456789abcdef"

    @Test(arguments: [
        (text, true), ("0123456789abcdeF", false), ("X123456789abcdef", false), ("", false),
        ("0123456789abcde", false), (text + "0", false), (text + "\u{0}", false), (text + "\n", false),
        (text + text, false), (String(repeating: "0", count: 100_000), false),
    ])
    func `only the token itself matches`(offered: String, matches: Bool) throws {
        let token = try #require(AccessToken(Array(Self.text.utf8)))
        #expect(token.matches(offered) == matches)
    }

    @Test(arguments: [16, 17, 1023, 1024])
    func `every byte of the token counts, and no length is confused with another`(length: Int) throws {
        let bytes = (0..<length).map { UInt8(ascii: "a") + UInt8($0 % 26) }
        let token = try #require(AccessToken(bytes))
        #expect(token.matches(String(decoding: bytes, as: UTF8.self)))
        for index in [0, 1, length / 2, length - 1] {
            var other = bytes
            other[index] ^= 1
            #expect(!token.matches(String(decoding: other, as: UTF8.self)))
        }
        #expect(!token.matches(String(decoding: bytes.dropLast(), as: UTF8.self)))
        #expect(!token.matches(String(decoding: bytes + [UInt8(ascii: "a")], as: UTF8.self)))
        #expect(!token.matches(String(decoding: bytes + bytes, as: UTF8.self)))
    }

    @Test func `one newline at the end of the file is not part of the token`() throws {
        for file in [Self.text, Self.text + "\n"] {
            #expect(try #require(AccessToken(file: Array(file.utf8))).matches(Self.text))
        }
        #expect(try #require(AccessToken(file: Array((Self.text + "\n\n").utf8))).matches(Self.text + "\n"))
        #expect(AccessToken(file: Array("0123456789abcde\n".utf8)) == nil)
        #expect(AccessToken(file: []) == nil)
        // No client can send other bytes than UTF-8.
        #expect(AccessToken(file: Array(Self.text.utf8) + [0xFF]) == nil)
        #expect(AccessToken([UInt8](repeating: 65, count: 1025)) == nil)
    }

    @Test func `nothing shows the token`() throws {
        let token = try #require(AccessToken(Array(Self.text.utf8)))
        var dumped = ""
        dump(token, to: &dumped)
        for text in ["\(token)", String(reflecting: token), dumped] { #expect(!text.contains("0123")) }
    }
}
