import ArgumentParser
import Configuration
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
