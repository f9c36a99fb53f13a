import Glibc
import NIOCore
import NIOPosix
import Synchronization
import SystemPackage

/// Serves connections of a listening socket, or connections that a channel accepts, and passes the calls to a handler
/// (https://varlink.org).
///
/// It has one thread of its own, and from its start to its stop opens no path. Its connections are not close-on-exec
/// (NIO accepts them without): a process that starts others has to close them there, as `ChildProcess` does.
public final class VarlinkServer: Sendable {
    /// Nil for a server that does not listen itself.
    private let path: FilePath?
    private let interfaces: [VarlinkInterface]
    private let router: CallRouter
    private let limits: VarlinkLimits
    private let servedUsers: Set<UInt32>
    private let takeNote: @Sendable (VarlinkServerNote) -> Void
    private let running = Mutex<Running?>(nil)
    private let unseen = Atomic(0)

    private struct Running {
        let socket: ListeningSocket?
        let group: MultiThreadedEventLoopGroup
        let registry: NIOLoopBoundBox<ConnectionRegistry>
    }

    /// - Parameters:
    ///   - socket: The path of the listening socket, in an existing directory. Nil for a server that gets each
    ///     connection by ``serve(_:from:)``.
    ///   - servedUsers: The ids of the users that are talked to. All others get `PermissionDenied`.
    ///   - takeNote: Called on the server's thread; must return at once.
    public init(
        socket: FilePath?, service: VarlinkServiceInfo, interfaces: [VarlinkInterface],
        servedUsers: Set<UInt32> = [0], limits: VarlinkLimits = VarlinkLimits(), handler: any VarlinkHandler,
        takeNote: @escaping @Sendable (VarlinkServerNote) -> Void = { _ in }
    ) {
        path = socket
        self.interfaces = interfaces
        router = CallRouter(info: service, interfaces: interfaces, handler: handler)
        self.servedUsers = servedUsers
        self.limits = limits
        self.takeNote = takeNote
    }

    /// Creates the socket with permissions for the owner only, and serves connections. Replaces the socket of a killed
    /// server. Blocks as the creation of a socket does: do not call on an event loop.
    ///
    /// - Throws: If no socket can be created at the path, another process listens there, or an interface has no name.
    public func start() throws(VarlinkError) {
        if interfaces.contains(where: \.name.isEmpty) {
            throw VarlinkError(.malformedInterface, "interface", "its description does not name it")
        }
        let socket: ListeningSocket?
        if let path { socket = try ListeningSocket(at: path) } else { socket = nil }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let registry = NIOLoopBoundBox.makeBoxSendingValue(
            ConnectionRegistry(router: router, limits: limits, servedUsers: servedUsers, takeNote: takeNote),
            eventLoop: group.next())
        if let socket {
            do {
                _ = try bootstrap(on: group, registry).withBoundSocket(socket.descriptor.rawValue).wait()
            } catch {
                socket.removeFile()
                try? group.syncShutdownGracefully()
                throw VarlinkError(.cannotListen, socket.path.string, "cannot listen here (\(error))")
            }
        }
        running.withLock { $0 = Running(socket: socket, group: group, registry: registry) }
    }

    /// The connections given to ``serve(_:from:)`` that do not count against the limit of connections yet.
    public var unseenConnections: Int { unseen.load(ordering: .relaxed) }

    /// Serves a connected stream socket that does not block, and owns the descriptor from now on. A server that does not
    /// run closes the connection. Any thread may call it.
    public func serve(_ connection: SystemPackage.FileDescriptor, from peer: VarlinkPeer) {
        // Under the lock, so that no other thread shuts down the group.
        running.withLock { running in
            guard let running else {
                try? connection.close()
                return
            }
            let registry = running.registry
            unseen.add(1, ordering: .relaxed)
            ClientBootstrap(group: running.group)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let handler = ConnectionHandler(peer: peer, registry: registry.value)
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                }
                .channelOption(.allowRemoteHalfClosure, value: true)
                .channelOption(.recvAllocator, value: Self.receiveBuffers)
                .withConnectedSocket(connection.rawValue)
                .whenComplete { [self] _ in unseen.subtract(1, ordering: .relaxed) }
        }
    }

    /// Removes the server's own socket, sends finished replies as far as clients read at once, and closes all
    /// connections. Blocks until the last call of the handler has ended: do not call on an event loop.
    public func stop() {
        guard let running = running.withLock({ $0.take() }) else { return }
        running.socket?.removeFile()
        try? running.group.next().submit {}.wait()
        try? running.group.syncShutdownGracefully()
    }

    /// Small buffers, because calls are small and connections can be many.
    private static let receiveBuffers = AdaptiveRecvByteBufferAllocator(
        minimum: 512, initial: 1024, maximum: 16_384)

    private func bootstrap(
        on group: MultiThreadedEventLoopGroup, _ registry: NIOLoopBoundBox<ConnectionRegistry>
    ) -> ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelInitializer { [takeNote] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptBackoff(takeNote: takeNote))
                }
            }
            .childChannelInitializer { channel in
                channel.peer().flatMapThrowing { peer in
                    let handler = ConnectionHandler(peer: peer, registry: registry.value)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            // `printf … | socat` ends its side after the call, and waits for the answer.
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.recvAllocator, value: Self.receiveBuffers)
    }
}

extension Channel {
    /// The peer of a connection.
    fileprivate func peer() -> EventLoopFuture<VarlinkPeer> {
        guard let options = self as? any SocketOptionProvider else {
            return eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
        }
        return options.unsafeGetSocketOption(level: .socket, name: .init(rawValue: SO_PEERCRED))
            .map { (credentials: PeerCredentials) in
                VarlinkPeer.process(credentials.processID, user: credentials.userID)
            }
    }
}

/// `struct ucred` (unix(7)), which C shows only with _GNU_SOURCE.
private struct PeerCredentials {
    let processID: Int32
    let userID: UInt32
    let groupID: UInt32
}

/// The reply to `org.varlink.service.GetInfo`.
public struct VarlinkServiceInfo: Sendable {
    public let vendor: String
    public let product: String
    public let version: String
    public let url: String

    public init(vendor: String, product: String, version: String, url: String) {
        self.vendor = vendor
        self.product = product
        self.version = version
        self.url = url
    }
}
