import Foundation
import LinuxCalls
import Synchronization
import SystemPackage

/// Stands where quiesced does, and says whatever a test wants said.
final class ScriptedDaemon: Sendable {
    private let listener: RawListener
    private let replies: [String: [String]]
    private let lastMethod: String?
    private let clients = Mutex<[RawClient]>([])

    /// - Parameters:
    ///   - replies: The messages that answer each method. One that is not named here is never answered.
    ///   - lastMethod: After answering it, all connections are ended.
    init(of rig: DaemonRig, _ replies: [String: [String]], until lastMethod: String? = nil) throws {
        try FileManager.default.createDirectory(
            atPath: rig.runDirectory.string, withIntermediateDirectories: true)
        listener = try RawListener(at: rig.socket)
        self.replies = replies
        self.lastMethod = lastMethod
        Thread.detachNewThread { [self] in
            while let client = try? listener.accept() {
                clients.withLock { $0.append(client) }
                Thread.detachNewThread { [self] in serve(client) }
            }
            try? listener.descriptor.close()
        }
    }

    private func serve(_ client: RawClient) {
        while let call = try? client.nextMessage() {
            let text = String(decoding: call, as: UTF8.self)
            guard let (method, messages) = replies.first(where: { text.contains("Control1.\($0.key)\"") }) else {
                continue
            }
            for message in messages { try? client.send(message) }
            if method == lastMethod {
                clients.withLock { for client in $0 { shutdown(client.descriptor.rawValue, CInt(SHUT_RDWR)) } }
            }
        }
    }
}
