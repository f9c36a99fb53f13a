import Glibc
import LinuxCalls
import SystemPackage

/// A directory that goes away with its owner, with the files in it.
final class TemporaryDirectory: Sendable {
    let path: FilePath

    init() throws {
        var template = Array("/tmp/quiesce-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        path = FilePath(platformString: template)
    }

    deinit {
        for name in (try? directoryEntries(path)) ?? [] { remove(path.appending(name).string) }
        rmdir(path.string)
    }
}
