import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// A program to run, found as a shell would find it.
struct ProgramFile {
    let path: FilePath

    /// - Throws: `ProgramNotFound`
    init(named name: String) throws(ProgramNotFound) {
        guard !name.contains("/") else {
            guard Self.isProgram(name) else { throw ProgramNotFound(name: name) }
            path = FilePath(name)
            return
        }
        let directories = getenv("PATH").map { String(cString: $0) } ?? "/usr/sbin:/usr/bin:/sbin:/bin"
        let candidates = directories.split(separator: ":").map { "\($0)/\(name)" }
        guard let found = candidates.first(where: Self.isProgram) else { throw ProgramNotFound(name: name) }
        path = FilePath(found)
    }

    private static func isProgram(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
    }
}

struct ProgramNotFound: ActionableError {
    let name: String

    var subject: String { escapedControlCharacters(name) }
    var problem: String { "there is no such program" }
    var remedy: String? { "Name one that is in PATH, or its whole path. Nothing was frozen." }
}
