import ArgumentParser
import Configuration
import FreezeCore
import SystemPackage

/// `--config`, as every command that reads the configuration has it.
struct ConfigurationOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The configuration file. Default: \(Configuration.defaultFile), if it is there.", valueName: "file"),
        completion: .file())
    var config: String?

    /// The file that was named.
    var file: FilePath? { config.map { FilePath($0) } }

    func load() throws(ConfigurationError) -> Configuration {
        try Configuration.load(from: file)
    }
}

/// `--config` and `--socket`, as every command has them that needs nothing but the control socket.
struct SocketOption: ParsableArguments {
    @OptionGroup var configuration: ConfigurationOption

    @Option(
        help: ArgumentHelp("The control socket, whatever the configuration says.", valueName: "path"),
        completion: .file())
    var socket: String?

    /// The control socket. A configuration that is not accepted must not keep anything frozen: the command warns, and
    /// goes on with the socket that the file names, or the default one.
    ///
    /// - Throws: `ConfigurationError` if there is no file of the name given.
    func path() throws(ConfigurationError) -> FilePath {
        if let socket { return FilePath(socket) }
        let places = try DaemonPlaces(from: configuration.file)
        if let flaw = places.flaw {
            printError(flaw)
            printError("quiescectl: going on with the control socket \(places.socket.escaped).")
        }
        return places.socket
    }
}
