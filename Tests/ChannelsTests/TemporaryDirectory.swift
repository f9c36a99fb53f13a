import Glibc
import SystemPackage

/// A directory that goes away with its owner; what is in it must have gone before, or be links and files.
final class TemporaryDirectory {
    let path: FilePath

    init() throws {
        var template = Array("/tmp/quiesce-channels-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        path = FilePath(platformString: template)
    }

    deinit {
        unlink(path.appending("hv_vss").string)
        rmdir(path.string)
    }
}
