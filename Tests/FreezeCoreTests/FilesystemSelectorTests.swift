import FreezeCore
import SystemPackage
import Testing

@Suite struct FilesystemSelectorTests {
    @Test(arguments: [
        ("/srv/*", "/srv/a", true), ("/srv/*", "/srv/a/b", false), ("/srv/*", "/srv", false),
        ("/srv/**", "/srv/a/b", true), ("/srv/**", "/srv", false), ("**", "/any/thing", true),
        ("/srv/?", "/srv/ä", true), ("/srv/?", "/srv/ab", false), ("/srv?a", "/srv/a", false),
        ("/[a-c]x", "/bx", true), ("/[a-c]x", "/dx", false), ("/[!a-c]x", "/dx", true), ("/[!a]x", "//x", false),
        ("/[]x]", "/]", true), ("/[a-]", "/-", true), ("/\\*", "/*", true), ("/\\*", "/a", false),
        ("/a*b*c", "/aXbYc", true), ("/a*b*c", "/aXbY", false), ("/", "/", true), ("/", "/a", false),
        ("/with space", "/with space", true), ("/A", "/a", false),
    ])
    func globsMatchAsInAShell(_ pattern: String, _ path: String, _ expected: Bool) throws {
        #expect(try #require(Glob(pattern)).matches(path) == expected)
    }

    @Test(arguments: ["/[a", "/[", "/[z-a]", "/a\\", "/[\\"])
    func brokenGlobsAreRefused(_ pattern: String) {
        #expect(Glob(pattern) == nil)
        #expect(throws: FilesystemSelector.ParseError.self) { try FilesystemSelector(parsing: pattern) }
    }

    @Test func aHostilePatternTakesNoExponentialTime() throws {
        let glob = try #require(Glob("/" + String(repeating: "*a", count: 200) + "b"))
        #expect(!glob.matches("/" + String(repeating: "a", count: 4000)))
    }

    @Test func bytesThatAreNotUTF8MatchAWildcardOnly() throws {
        let path = [CChar(bitPattern: UInt8(ascii: "/")), CChar(bitPattern: 0xFF), 0].withUnsafeBufferPointer {
            $0.baseAddress.map { FilePath(platformString: $0) }
        }
        let name = try #require(path)
        #expect(try #require(Glob("/?")).matches(name))
        #expect(try #require(Glob("/\u{FFFD}")).matches(name) == false)
        #expect(name.escaped == "/\\377")
    }

    @Test(arguments: ["", "srv", "uuid=1", "PARTUUID=1", "UUID=", "LABEL=", "fstype:", "fstype=ext4", "./srv"])
    func whatNamesNoFilesystemIsRefusedWithARemedy(_ text: String) {
        let error = #expect(throws: FilesystemSelector.ParseError.self) { try FilesystemSelector(parsing: text) }
        #expect(error?.subject == "\"\(text)\"")
        #expect(error?.remedy?.contains("fstype:NAME") == true)
    }

    @Test(arguments: ["/srv/*", "UUID=ab-12", "LABEL=my data", "/dev/mapper/*", "fstype:xfs"])
    func theDescriptionIsWhatWasWritten(_ text: String) throws {
        #expect(try FilesystemSelector(parsing: text).description == text)
    }
}

@Suite struct EscapingTests {
    @Test(arguments: [
        ("/plain", "/plain"), ("/a b", "/a\\040b"), ("/a\nb\tc", "/a\\012b\\011c"),
        ("/back\\slash", "/back\\134slash"),
        ("/esc\u{1B}[31m", "/esc\\033[31m"), ("/ümlaut", "/ümlaut"), ("/c1\u{9B}", "/c1\\302\\233"),
        ("/rtl\u{202E}", "/rtl\\342\\200\\256"), ("/del\u{7F}", "/del\\177"),
    ])
    func namesAreSafeToShowAndKeepEveryByte(_ raw: String, _ expected: String) {
        #expect(FilePath(raw).escaped == expected)
    }
}
