import ArgumentParser
import Configuration
import FreezeCore
import SystemPackage

/// `--config`, as every command that reads the configuration has it.
struct ConfigurationOption: ParsableArguments {
    @Option(help: "The configuration file. Default: \(Configuration.defaultFile), if it is there.")
    var config: String?

    /// - Throws: `ExitCode.wrongUsage`, after the error was printed.
    func load() throws -> Configuration {
        do throws(ConfigurationError) {
            return try loadOrThrow()
        } catch {
            printError(error)
            throw ExitCode.wrongUsage
        }
    }

    func loadOrThrow() throws(ConfigurationError) -> Configuration {
        try Configuration.load(from: config.map { FilePath($0) })
    }
}
