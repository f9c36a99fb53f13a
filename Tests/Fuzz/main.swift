import Glibc

/// Every parser of what comes from outside.
let parsers: [any ParserFuzz.Type] = [
    HyperVFuzz.self, AgentFuzz.self, AgentReplyFuzz.self,
    FreezerPacketFuzz.self, LedgerFuzz.self, MountTableFuzz.self, HistoryFuzz.self, ConfigurationFuzz.self,
    ControlFuzz.self, SelectorFuzz.self, UdevFuzz.self, ProcessRecordFuzz.self, PoolFuzz.self,
]

func run(_ fuzz: (some ParserFuzz).Type, _ options: FuzzOptions) throws -> Int32 {
    try FuzzRun(of: fuzz, options).run()
}

// What is written to an end that is gone is an error like any other.
signal(SIGPIPE, SIG_IGN)
let arguments = CommandLine.arguments.dropFirst()
if arguments.first == "list" {
    for parser in parsers { print(parser.name) }
    exit(0)
}
let name = arguments.first == "sources" ? arguments.dropFirst().first : arguments.first
guard let parser = parsers.first(where: { $0.name == name }) else {
    writeError("no such parser; there are: \(parsers.map { $0.name }.joined(separator: ", "))")
    exit(64)
}
if arguments.first == "sources" {
    for source in parser.sources { print("Sources/\(source)") }
    exit(0)
}
do {
    exit(try run(parser, FuzzOptions(arguments.dropFirst())))
} catch {
    writeError("\(parser.name): \(error)")
    exit(64)
}
