import Glibc
import LinuxSystem
import SystemPackage
import TOMLKit

extension Configuration {
    /// Where the configuration is looked for if no file is named.
    public static let defaultFile: FilePath = "/etc/quiesced/quiesced.toml"

    /// A configuration is some lines; what is longer than this is another file.
    private static let sizeLimit = 1 << 20

    /// Reads and checks a configuration file. Blocks as open(2) and read(2) do.
    ///
    /// - Parameter file: The file the admin named; it must exist. Nil for ``defaultFile``, which may be absent:
    ///   then every key has its default.
    /// - Throws: ``ConfigurationError`` for the first thing that is wrong with it. Whether the file can be
    ///   trusted is for ``verifyTrust(of:)`` to say.
    public static func load(from file: FilePath?) throws(ConfigurationError) -> Configuration {
        try load(from: file, defaultFile: defaultFile)
    }

    static func load(from file: FilePath?, defaultFile: FilePath) throws(ConfigurationError) -> Configuration {
        let path = file ?? defaultFile
        do {
            return try Configuration(toml: try read(path), file: path)
        } catch let error as ConfigurationError {
            throw error
        } catch Errno.noSuchFileOrDirectory where file == nil {
            return Configuration()
        } catch let errno as Errno {
            throw ConfigurationError(file: path, problem: "it cannot be read: \(errno)", remedy: nil)
        } catch {
            throw ConfigurationError(file: path, problem: "\(error)", remedy: nil)
        }
    }

    /// Parses the text of a configuration file and checks every value, and that they go together.
    ///
    /// - Parameter file: Where the text comes from, for the error.
    public init(toml text: String, file: FilePath) throws(ConfigurationError) {
        self.init()
        let document = ConfigurationDocument(text: text, file: file)
        // No value that can be written: then the key is not there, and two daemons with directories of their own do not
        // meet at one socket.
        control.socket = FilePath()
        try document.read(into: &self)
        if control.socket.isEmpty { control.socket = paths.run.appending(Control.socketName) }
        try checkWindow(in: document)
        try checkBudget(in: document)
        try checkSocket(in: document)
        try checkVsock(in: document)
    }

    private static func read(_ path: FilePath) throws -> String {
        let bytes = try readBytes(path)
        // The parser takes a C string: a zero byte would cut the file short without a word.
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw ConfigurationError(
                file: path, problem: "it is not UTF-8 text", remedy: "Write it in UTF-8, without zero bytes")
        }
        return text
    }

    /// The text, with a replacement for each byte that does not belong in it; nil if there is none.
    static func readLeniently(_ path: FilePath) -> String? {
        (try? readBytes(path)).map { String(decoding: $0.map { $0 == 0 ? 0xFF : $0 }, as: UTF8.self) }
    }

    static func readBytes(_ path: FilePath) throws -> [UInt8] {
        // Not blocking: a FIFO in place of the file must not hang the start.
        let descriptor = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .nonBlocking])
        return try descriptor.closeAfter {
            // A FIFO without a writer would read as empty, and an empty file means: all filesystems, all defaults.
            var status = stat()
            guard fstat(descriptor.rawValue, &status) == 0 else { throw Errno(rawValue: Glibc.errno) }
            guard status.st_mode & S_IFMT == S_IFREG else {
                throw ConfigurationError(
                    file: path, problem: "it is not a regular file", remedy: "Name a configuration file")
            }
            var bytes: [UInt8] = []
            let chunk = 16_384
            while true {
                let part = try [UInt8](unsafeUninitializedCapacity: chunk) { buffer, count in
                    count = try descriptor.read(into: UnsafeMutableRawBufferPointer(buffer))
                }
                if part.isEmpty { break }
                bytes += part
                guard bytes.count <= sizeLimit else {
                    throw ConfigurationError(
                        file: path, problem: "it is longer than 1 MiB", remedy: "Name a configuration file")
                }
            }
            return bytes
        }
    }
}

extension Configuration {
    /// Verifies that only root can change a configuration file. Call before ``load(from:)``: loading then reads
    /// the verified file and waits for no FUSE server. Separate from ``load(from:)``, because a file under test
    /// need not be trusted. Blocks like fstat(2).
    ///
    /// - Parameter file: Nil for ``defaultFile``. A missing file passes if only root can create the file;
    ///   ``load(from:)`` decides whether the file is required.
    public static func verifyTrust(of file: FilePath?) throws(TrustError) {
        try TrustCheck.verify(file ?? defaultFile, mayBeMissing: true)
    }

    /// Verifies that only root can change the files and directories that the configured paths lead to.
    ///
    /// For the socket and the device, only the directories are checked: the mode of the socket or device defines
    /// the permitted users. A missing file is trusted if only root can create the file. Blocks like fstat(2).
    public func verifyTrustOfPaths() throws(TrustError) {
        for path in [hooks.directory, paths.run, paths.state] + tokenFiles {
            try TrustCheck.verify(path, mayBeMissing: true)
        }
        for path in [control.socket, hyperv.device, qemu.device] {
            try TrustCheck.verify(path.removingLastComponent(), mayBeMissing: true)
        }
    }
}
