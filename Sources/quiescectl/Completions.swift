import Configuration
import FreezeCore
import History
import Hooks
import SystemPackage

/// What a shell completes with. Nothing where it cannot be read: a shell that is asked to complete has no place for
/// an error.
enum Completions {
    /// - Parameter arguments: the command line so far.
    static func hookNames(_ arguments: [String]) -> [String] {
        guard let configuration = configuration(arguments) else { return [] }
        return (try? HookSources(configuration).scan())?.map(\.hook.name) ?? []
    }

    static func shippedHooks() -> [String] {
        (try? ShippedHooks.ofThisProgram().all())?.map(\.plainName) ?? []
    }

    /// - Parameter arguments: the command line so far.
    static func requestIDs(_ arguments: [String]) -> [String] {
        guard let configuration = configuration(arguments) else { return [] }
        let file = HistoryFile(configuration.paths)
        return (try? file.records(limit: 50))?.records.map(\.id.text) ?? []
    }

    /// The one that the command line names, else the default one.
    private static func configuration(_ arguments: [String]) -> Configuration? {
        let option = arguments.firstIndex(of: "--config").map { arguments.index(after: $0) }
        let file = option.flatMap { arguments.indices.contains($0) ? FilePath(arguments[$0]) : nil }
        return try? Configuration.load(from: file)
    }
}
