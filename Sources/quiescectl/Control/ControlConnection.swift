import ControlProtocol
import FreezeCore
import SystemPackage
import Varlink

/// A connection to the daemon's control socket.
struct ControlConnection: Sendable {
    /// What is answered at once is waited for no longer than this.
    private static let patience = Duration.seconds(10)

    let socket: FilePath
    private let client: VarlinkClient

    static func open(_ socket: FilePath) throws(ControlFailure) -> ControlConnection {
        do throws(VarlinkError) {
            return ControlConnection(socket: socket, client: try VarlinkClient.connect(to: socket))
        } catch {
            throw error.code == .permissionDenied ? .denied(socket) : .notReachable(socket, problem: error.problem)
        }
    }

    func close() {
        client.close()
    }

    func status() throws(ControlFailure) -> ControlStatus {
        try call(.status, NoParameters(), timeout: Self.patience)
    }

    /// Answered when everything is frozen or nothing is: the daemon keeps the time.
    func freeze(_ parameters: FreezeParameters) throws(ControlFailure) -> FreezeReply {
        try call(.freeze, parameters, timeout: nil)
    }

    func thaw(_ parameters: ThawParameters) throws(ControlFailure) -> ThawReply {
        try call(.thaw, parameters, timeout: nil)
    }

    func acknowledge() throws(ControlFailure) -> AcknowledgeReply {
        try call(.acknowledge, NoParameters(), timeout: Self.patience)
    }

    /// Every event from now on; the first reply has none, and says that the subscription stands. That one comes at
    /// once, or else an error that `failure` translates.
    func monitor() throws(ControlFailure) -> VarlinkReplies<MonitorReply> {
        do throws(VarlinkError) {
            return try client.callMore(
                ControlInterface.Method.monitor.qualifiedName, timeout: Self.patience)
        } catch {
            throw failure(error)
        }
    }

    private func call<Reply: Decodable & Sendable>(
        _ method: ControlInterface.Method, _ parameters: some Encodable & Sendable, timeout: Duration?
    ) throws(ControlFailure) -> Reply {
        do throws(VarlinkError) {
            return try client.call(method.qualifiedName, parameters, timeout: timeout)
        } catch {
            throw failure(error)
        }
    }

    func failure(_ error: VarlinkError) -> ControlFailure {
        if error.code == .permissionDenied { return .denied(socket) }
        if error.code == .timedOut { return .silent(socket, Self.patience) }
        guard let reply = error.errorReply else {
            return error.code == .connectionLost
                ? .lost(socket, problem: error.problem) : .misunderstood(socket, problem: error.problem)
        }
        guard let name = ControlErrorName(qualifiedName: reply.name),
            let parameters = reply.parameters(as: ControlErrorParameters.self)
        else { return .misunderstood(socket, problem: reply.name) }
        return .refused(name, parameters)
    }
}
