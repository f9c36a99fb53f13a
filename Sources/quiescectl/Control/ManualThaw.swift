import ArgumentParser
import ControlProtocol
import FreezeCore
import History
import Presentation
import SystemPackage

/// A THAW by `quiescectl thaw` or `quiescectl hooks thaw`.
struct ManualThaw {
    let socket: FilePath
    let parameters: ThawParameters
    let output: OutputOption

    func run() throws {
        let progress = try RequestProgressDisplay.start(socket, isQuiet: output.json)
        let connection = try ControlConnection.open(socket)
        let reply: ThawReply
        do {
            reply = try connection.thaw(parameters)
        } catch {
            progress.stop()
            throw error
        }
        let record = progress.finished(reply.request)
        connection.close()
        // A FREEZE that waited, and was called off by this THAW, never began.
        guard let request = reply.request else {
            return try output.write(reply, orLines: ["Nothing was frozen."])
        }
        guard let record else {
            throw ControlFailure.endUnknown(request: request, isForced: parameters.force == true)
        }
        // A caller who reports a failure knows that the window was lost.
        let isLost = record.isLost && parameters.failure == nil
        let status: ExitCode = isLost ? .consistencyLost : record.attention.isEmpty ? .success : .attention
        throw telling(status) {
            try output.write(record, orLines: RequestSummary(record).lines)
        }
    }
}
