import ControlProtocol
import Testing
import Varlink

/// docs/control-socket.md is what programs are written by.
@Suite struct DocumentationTests {
    private static let page = "docs/control-socket.md"

    @Test func `control-socket.md has the interface in full`() throws {
        #expect(try Repository.text(Self.page).contains("```varlink\n\(ControlInterface.description)```\n"))
    }

    @Test func `control-socket.md explains every error, and no other`() throws {
        let documented = try Repository.tableRows(Self.page).filter { $0.count == 3 }.compactMap { $0[0].code }
        #expect(documented == ControlErrorName.allCases.map(\.rawValue))
    }

    @Test func `control-socket.md has the limits of the server`() throws {
        let text = try Repository.text(Self.page)
        let limits = VarlinkLimits()
        for words in [
            "\(limits.maximumMessage >> 20) MiB a call", "\(limits.maximumConnections) connections",
            "\(limits.idleTimeout.components.seconds) seconds",
        ] {
            #expect(text.contains(words), "\(words)")
        }
    }
}
