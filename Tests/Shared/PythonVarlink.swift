import FoundationEssentials
import Glibc
import LinuxCalls
import SystemPackage
import Testing

// Each test target that needs this has a link to it, and one to Needs.swift.

/// Somebody else's implementation of Varlink: the package `varlink` from PyPI.
enum PythonVarlink {
    /// Where packaging/install-dependencies puts it.
    private static let interpreter: String = {
        var root = FilePath(#filePath)
        // Seen through a link, this is Tests/ModuleTests/PythonVarlink.swift.
        for _ in 1...3 { root.removeLastComponent() }
        return root.appending(".build/python/bin/python").string
    }()

    static var isInstalled: Bool { access(interpreter, X_OK) == 0 }

    /// Runs a script that has imported `varlink`, with `client` for the service at the socket.
    ///
    /// - Returns: What it wrote, errors as well, and then its exit status. What hangs is ended after half a minute.
    static func run(_ script: String, at socket: FilePath) throws -> [String] {
        let whole = """
            import signal
            signal.alarm(30)
            import varlink
            client = varlink.Client.new_with_address("unix:\(socket)")
            \(script)
            """
        let path = socket.removingLastComponent().appending("script.py")
        let descriptor = try openDescriptor(
            path, .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
        try writeAll(Array(whole.utf8), to: descriptor)
        try descriptor.close()
        defer { unlink(path.string) }

        guard let stream = popen("'\(interpreter)' '\(path)' 2>&1", "r") else { throw Errno(rawValue: errno) }
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = fread(&buffer, 1, buffer.count, stream), count > 0 { output += buffer[..<count] }
        let status = pclose(stream)
        let lines = String(decoding: output, as: UTF8.self).split(separator: "\n").map(String.init)
        return lines + ["exit status \(status)"]
    }
}

extension Trait where Self == ConditionTrait {
    /// - Parameter subject: What is not tested without it.
    static func needsPythonVarlink(toTest subject: String) -> Self {
        .needs("the Python package varlink (packaging/install-dependencies test)", toTest: subject) {
            PythonVarlink.isInstalled
        }
    }
}
