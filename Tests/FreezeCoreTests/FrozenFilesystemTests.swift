import FreezeCore
import SystemPackage
import Testing

/// Which filesystem a write waits for.
@Suite struct FrozenFilesystemTests {
    @Test(
        arguments: [
            ("8:2", "/srv"), ("7:0", "/images/outer"),
            // An overlay, and a filesystem without a freeze, whose files are on frozen filesystems.
            ("0:40", "/"), ("7:2", "/srv"),
            // Without storage below, in memory, and unknown.
            ("8:17", nil), ("0:21", nil), ("9:9", nil),
        ] as [(String, FilePath?)])
    func `P7 a write waits for its filesystem, or for the one that its filesystem is stored on`(
        device: String, expected: FilePath?
    ) throws {
        var fixture = try StorageFixture.everything()
        try fixture.mount("/images/stick", "vfat", "7:2")
        try fixture.store("7:2", on: "8:2")
        let plan = try fixture.plan()
        #expect(plan.frozenFilesystem(for: try #require(DeviceNumber(device)))?.mountPoint == expected)
    }
}
