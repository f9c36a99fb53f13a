import Glibc
import SystemPackage

/// Where a running daemon is reached. A mistake in the configuration that was made after its start must not keep an
/// admin from ending a window, so that a file which is not accepted is read as far as possible.
public struct DaemonPlaces: Hashable, Sendable {
    /// `paths.run`; nil if the file is not accepted, and does not name it.
    public let namedRun: FilePath?
    /// `control.socket`; nil if the file is not accepted, and does not name it.
    public let namedSocket: FilePath?
    /// Why the file is not accepted; nil if it is.
    public let flaw: ConfigurationError?

    /// The run directory, by default the default one.
    public var run: FilePath { namedRun ?? Configuration().paths.run }

    /// The control socket, by default in the run directory.
    public var socket: FilePath { namedSocket ?? run.appending(Configuration.Control.socketName) }

    /// Blocks as open(2) and read(2) do.
    ///
    /// - Parameter file: The file that the admin named; nil for ``Configuration/defaultFile``.
    /// - Throws: ``ConfigurationError`` only if there is no file of the name that the admin gave: another daemon than
    ///   the one that is meant could be reached.
    public init(from file: FilePath?) throws(ConfigurationError) {
        try self.init(from: file, defaultFile: Configuration.defaultFile)
    }

    init(from file: FilePath?, defaultFile: FilePath) throws(ConfigurationError) {
        do throws(ConfigurationError) {
            let configuration = try Configuration.load(from: file, defaultFile: defaultFile)
            namedRun = configuration.paths.run
            namedSocket = configuration.control.socket
            flaw = nil
        } catch {
            let path = file ?? defaultFile
            if access(path.string, F_OK) != 0, errno == ENOENT {
                throw ConfigurationError(
                    file: path, problem: error.problem,
                    remedy: "Leave out --config, or name the file of the daemon")
            }
            flaw = error
            var configuration = Configuration()
            configuration.paths.run = FilePath()
            configuration.control.socket = FilePath()
            let document = ConfigurationDocument(text: Configuration.readLeniently(path) ?? "", file: path)
            document.readLeniently(["paths.run", "control.socket"], into: &configuration)
            namedRun = configuration.paths.run.isEmpty ? nil : configuration.paths.run
            namedSocket = configuration.control.socket.isEmpty ? nil : configuration.control.socket
        }
    }
}
