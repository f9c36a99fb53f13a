import FoundationEssentials
import Glibc
import SystemPackage
import Testing

@testable import LinuxSystem

@Suite(.needsRoot(toTest: "where the freezer is"))
struct FreezerExecutableTests {
    /// Where only root can write, as the freezer must be.
    private let root = FilePath("/run").appending("quiesce-freezer-\(UUID().uuidString)")
    private var daemon: FilePath { root.appending("sbin/quiesced") }
    private var beside: FilePath { root.appending("sbin/quiesce-freezer") }
    private var inLibexec: FilePath { root.appending("libexec/quiesced/quiesce-freezer") }

    private func find() throws -> FilePath { try FreezerExecutable.find(beside: daemon) }

    private func withPrograms(_ modes: [FilePath: Int], _ body: () throws -> Void) throws {
        defer { try? FileManager.default.removeItem(atPath: root.string) }
        for (path, mode) in modes {
            try FileManager.default.createDirectory(
                atPath: path.removingLastComponent().string, withIntermediateDirectories: true)
            try Data().write(to: URL(filePath: path.string))
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path.string)
        }
        try body()
    }

    @Test func besideTheDaemonComesFirstThenLibexec() throws {
        try withPrograms([beside: 0o755, inLibexec: 0o755]) {
            let found = try find()
            #expect(found == beside)
        }
        try withPrograms([inLibexec: 0o755]) {
            let found = try find()
            #expect(found == inLibexec)
        }
        #expect(throws: FreezerUnusable.missing([beside, inLibexec])) {
            try find()
        }
    }

    @Test func oneThatCannotBeUsedIsNotPassedOver() throws {
        try withPrograms([beside: 0o644, inLibexec: 0o755]) {
            #expect(throws: FreezerUnusable.notExecutable(beside)) { try find() }
        }
        try withPrograms([beside: 0o757, inLibexec: 0o755]) {
            let distrust = TrustError(path: beside, culprit: beside, finding: .writableByOthers)
            #expect(throws: FreezerUnusable.untrusted(distrust)) { try find() }
        }
    }
}
