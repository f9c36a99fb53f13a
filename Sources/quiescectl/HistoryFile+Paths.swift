import Configuration
import History

extension HistoryFile {
    /// The history of the daemon with this configuration.
    convenience init(_ paths: Configuration.Paths) {
        self.init(inStateDirectory: paths.state, heldIn: paths.run)
    }
}
