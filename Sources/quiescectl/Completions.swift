import Configuration
import History
import SystemPackage

/// What a shell completes with, by the default configuration. Nothing where it cannot be read: a shell that is asked
/// to complete has no place for an error.
enum Completions {
    static func requestIDs() -> [String] {
        guard let configuration = try? Configuration.load(from: nil) else { return [] }
        let file = HistoryFile(inStateDirectory: configuration.paths.state)
        return (try? file.records(limit: 50))?.records.map(\.id) ?? []
    }
}
