import FoundationEssentials
import FreezeCore
import Presentation
import SystemPackage
import Testing

/// How a plan shows what is mounted in other mount namespaces.
@Suite struct ForeignMountTests {
    private let container = MountNamespace(inode: 4_026_532_100, processID: 1234, command: "post\ngres")

    /// A machine with a container, and a filesystem that only the container has mounted.
    private func plan() throws -> FreezePlan {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        let root = try fixture.mount("/", "overlay", "0:60", source: "overlay", on: 999, in: container)
        try fixture.mount("/data", "xfs", "8:9", on: root.mountID, in: container)
        return try fixture.plan()
    }

    @Test func theTableSaysWhose() throws {
        #expect(PlanTable(try plan()).lines.contains { $0.contains("1234") })
    }

    @Test func theKeyIsStable() throws {
        let document = PlanDocument(try plan())
        #expect(document.filesystems.map(\.mountNamespace?.pid) == [nil, 1234])
        #expect(document.filesystems[1].mountNamespace?.command == "post\ngres")
        #expect(document.filesystems[1].mountPoint == "/data")
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let text = String(decoding: try encoder.encode(document), as: UTF8.self)
        #expect(text.contains("\"mount_namespace\":null"))
        #expect(text.contains(#""mount_namespace":{"command":"post\ngres","pid":1234}"#))
    }
}
