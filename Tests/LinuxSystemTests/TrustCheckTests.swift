import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import LinuxSystem

@Suite(.needsRoot(toTest: "trust in files"))
struct TrustCheckTests {
    /// A directory that only root can write to, all the way up. Not in /tmp: that is refused, and tested below.
    private func withDirectory(_ body: (FilePath) throws -> Void) throws {
        var template = Array("/run/quiesce-trust-XXXXXX".utf8CString)
        let created = mkdtemp(&template) != nil
        try #require(created)
        let directory = FilePath(platformString: template)
        defer { removeTree(directory) }
        try body(directory)
    }

    private func removeTree(_ path: FilePath) {
        if let stream = opendir(path.string) {
            while let entry = readdir(stream) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name == "." || name == ".." { continue }
                let child = path.appending(name)
                if unlink(child.string) != 0 { removeTree(child) }
            }
            closedir(stream)
        }
        rmdir(path.string)
    }

    @discardableResult
    private func makeFile(_ path: FilePath, mode: mode_t = 0o755, owner: uid_t = 0) throws -> FilePath {
        try FileDescriptor.open(path, .writeOnly, options: [.create], permissions: .ownerReadWrite).close()
        #expect(chmod(path.string, mode) == 0)
        #expect(chown(path.string, owner, 0) == 0)
        return path
    }

    @discardableResult
    private func makeDirectory(_ path: FilePath, mode: mode_t = 0o755) -> FilePath {
        #expect(mkdir(path.string, 0o755) == 0)
        #expect(chmod(path.string, mode) == 0)
        return path
    }

    private func link(_ path: FilePath, to target: FilePath) {
        #expect(symlink(target.string, path.string) == 0)
    }

    private func finding(_ path: FilePath, mayBeMissing: Bool = false) -> TrustError? {
        do {
            try TrustCheck.verify(path, mayBeMissing: mayBeMissing)
            return nil
        } catch {
            return error
        }
    }

    @Test func `what only root can change is trusted`() throws {
        try withDirectory { directory in
            let file = try makeFile(directory.appending("file"))
            #expect(finding(file) == nil)
            #expect(finding("/") == nil)
            #expect(finding("/usr/../usr/./bin") == nil)
        }
    }

    @Test(arguments: [
        (mode_t(0o775), TrustError.Finding.writableByGroup, "g-w"), (0o757, .writableByOthers, "go-w"),
        (0o777, .writableByOthers, "go-w"),
    ])
    func `a file that others can write to is refused`(
        mode: mode_t, expected: TrustError.Finding, remedy: String
    ) throws {
        try withDirectory { directory in
            let file = try makeFile(directory.appending("file"), mode: mode)
            let error = try #require(finding(file))
            #expect(error.finding == expected)
            #expect(error.culprit == file)
            #expect(error.description.hasSuffix("Run: chmod \(remedy) \(file.string)"))
        }
    }

    @Test func `a file of another user is refused`() throws {
        try withDirectory { directory in
            let file = try makeFile(directory.appending("file"), owner: 1234)
            let error = try #require(finding(file))
            #expect(error.finding == .notOwnedByRoot(owner: 1234))
            #expect(error.description.contains("1234"))
        }
    }

    @Test func `a writable directory anywhere above is refused, by name`() throws {
        try withDirectory { directory in
            let outer = makeDirectory(directory.appending("outer"), mode: 0o775)
            let inner = makeDirectory(outer.appending("inner"))
            let error = try #require(finding(try makeFile(inner.appending("file"))))
            #expect(error.finding == .writableByGroup)
            #expect(error.culprit == outer)
        }
    }

    @Test func `a sticky directory is refused all the same`() throws {
        try withDirectory { directory in
            let sticky = makeDirectory(directory.appending("sticky"), mode: 0o1777)
            let file = try makeFile(sticky.appending("file"))
            #expect(finding(file)?.culprit == sticky)
        }
        let error = try #require(finding("/tmp"))
        #expect(error.finding == .writableByOthers)
        #expect(error.remedy?.contains("chmod") == false, "chmod go-w /tmp would break the machine")
    }

    @Test func `a link is as good as its target and the way there`() throws {
        try withDirectory { directory in
            let good = try makeFile(directory.appending("good"))
            let bad = try makeFile(directory.appending("bad"), mode: 0o777)
            let open = makeDirectory(directory.appending("open"), mode: 0o777)
            let inOpen = try makeFile(open.appending("file"))
            link(directory.appending("to-good"), to: good)
            link(directory.appending("to-bad"), to: "bad")
            link(directory.appending("to-open"), to: inOpen)
            link(directory.appending("by-way-of-open"), to: "open/../good")
            link(directory.appending("to-nothing"), to: "nothing")
            #expect(finding(directory.appending("to-good")) == nil)
            #expect(finding(directory.appending("to-bad"))?.culprit == bad)
            #expect(finding(directory.appending("to-open"))?.culprit == open)
            #expect(finding(directory.appending("by-way-of-open"))?.culprit == open)
            #expect(finding(directory.appending("to-nothing"))?.culprit == directory.appending("nothing"))
        }
    }

    @Test func `a link in an untrusted directory is refused though its target is trusted`() throws {
        try withDirectory { directory in
            let open = makeDirectory(directory.appending("open"), mode: 0o777)
            link(open.appending("link"), to: "/usr/bin/env")
            #expect(finding(open.appending("link"))?.culprit == open)
        }
    }

    @Test(.timeLimit(.minutes(1))) func `a circle of links ends`() throws {
        try withDirectory { directory in
            link(directory.appending("one"), to: "two")
            link(directory.appending("two"), to: "one")
            link(directory.appending("self"), to: "self/self")
            #expect(finding(directory.appending("one"))?.finding == .tooManySymbolicLinks)
            #expect(finding(directory.appending("self"))?.finding == .tooManySymbolicLinks)
        }
    }

    @Test func `a missing file is trusted only on request, and only where all above it is`() throws {
        try withDirectory { directory in
            let missing = directory.appending("none/at/all")
            #expect(finding(missing)?.finding == .unreadable(.noSuchFileOrDirectory))
            #expect(finding(missing, mayBeMissing: true) == nil)
            let open = makeDirectory(directory.appending("open"), mode: 0o777)
            #expect(finding(open.appending("missing"), mayBeMissing: true)?.culprit == open)
            // A missing file is made at the target of the link.
            link(directory.appending("link"), to: open.appending("missing"))
            #expect(finding(directory.appending("link"), mayBeMissing: true)?.culprit == open)
            link(directory.appending("away"), to: "open")
            #expect(finding(directory.appending("away/missing"), mayBeMissing: true)?.culprit == open)
        }
    }

    @Test func `verify returns whether the file exists`() throws {
        try withDirectory { directory in
            let exists = try [directory, directory.appending("missing")].map {
                try TrustCheck.verify($0, mayBeMissing: true)
            }
            #expect(exists == [true, false])
        }
    }

    @Test func `no descriptor stays open`() throws {
        func count() throws -> Int { try directoryEntries("/proc/self/fd").count }
        let before = try count()
        for _ in 0..<100 {
            try TrustCheck.verify("/usr/../usr/bin/env")
            #expect(finding("/usr/missing/file") != nil)
        }
        // Other tests may open descriptors meanwhile.
        let after = try count()
        #expect(after < before + 100)
    }

    @Test(arguments: [
        (29, "ext4"), (30, "fuse.sshfs"), (31, "tmpfs"), (3, "autofs"), (9, nil), (2, nil),
    ])
    func `the type of a mount is read from its own line, whatever its user has chosen`(
        mountID: UInt64, type: String?
    ) {
        let table = """
            3 29 0:5 / /auto rw shared:1 master:2 - autofs systemd-1 rw
            29 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
            30 29 0:50 / /home/a\040-\040ext4 rw,nosuid - fuse.sshfs - ext4 rw,user_id=1000
            31 29 0:51 /-/a /run rw shared:5 - tmpfs tmpfs rw
            9 29 0:52 / /cut rw
            """
        #expect(PathPlace.filesystemType(ofMount: mountID, in: Array(table.utf8)) == type)
    }

    @Test func `the walk sees what is mounted on the way`() throws {
        let root = try PathPlace.root()
        let proc = try #require(try root.child("proc"))
        #expect(try proc.filesystemType() == "proc")
        #expect(!proc.isOnSameMount(as: root))
        let child = try #require(try proc.child("sys"))
        #expect(child.isOnSameMount(as: proc))
        let missing = try root.child("no-such-file")
        #expect(missing == nil)
    }

    @Test func `a relative path is refused`() {
        #expect(finding("usr/bin")?.finding == .notAbsolute)
    }
}
