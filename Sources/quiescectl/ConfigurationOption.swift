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
        do {
            return try Configuration.load(from: config.map { FilePath($0) })
        } catch {
            printError(error)
            throw ExitCode.wrongUsage
        }
    }
}
