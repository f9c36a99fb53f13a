import Glibc
import LinuxCalls
import SystemPackage
import Testing
import Varlink

/// Where a server listens, and who may come.
struct ListeningSocketTests {
    private static let info = #"{"method":"org.varlink.service.GetInfo"}"#

    @Test func `only the owner may connect`() throws {
        try TestService.run { service in
            let mode = try mode(of: service.path)
            #expect(mode == S_IFSOCK | 0o600)
        }
    }

    @Test func `a user that is not served is told so, and cut off`() throws {
        try TestService.run(servedUsers: [geteuid() + 1]) { service in
            let client = try service.connect()
            #expect(try client.receive().error == "org.varlink.service.PermissionDenied")
            try client.waitUntilClosed()
            #expect(
                service.waitForNote {
                    if case .deniedUser(let peer) = $0 {
                        peer == .process(getpid(), user: geteuid())
                    } else {
                        false
                    }
                })
        }
    }

    @Test func `unless told otherwise only root is served`() throws {
        let directory = try TemporaryDirectory()
        let server = VarlinkServer(
            socket: directory.path.appending("socket"),
            service: VarlinkServiceInfo(vendor: "", product: "", version: "", url: ""), interfaces: [],
            handler: TestHandler())
        try server.start()
        let client = try RawClient(directory.path.appending("socket"))
        if geteuid() == 0 {
            #expect(try client.call(Self.info).error == nil)
        } else {
            #expect(try client.receive().error == "org.varlink.service.PermissionDenied")
        }
        server.stop()
    }

    @Test func `a socket that a killed server left is replaced`() throws {
        let service = try TestService()
        let left = try RawListener(at: service.path)
        try left.descriptor.close()
        try service.server.start()
        #expect(try service.connect().call(Self.info).error == nil)
        service.server.stop()
    }

    @Test func `a socket that somebody listens on is left alone`() throws {
        let service = try TestService()
        let other = try RawListener(at: service.path)
        let error = #expect(throws: VarlinkError.self) { try service.server.start() }
        #expect(error?.code == .inUse)
        #expect(error?.subject == service.path.string)
        _ = try service.connect()
        try other.descriptor.close()
    }

    @Test(arguments: [S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO])
    func `what is no socket is left alone`(kind: mode_t) throws {
        let service = try TestService()
        switch kind {
        case S_IFDIR: mkdir(service.path.string, 0o700)
        case S_IFLNK: symlink("nowhere", service.path.string)
        case S_IFIFO: mkfifo(service.path.string, 0o600)
        default: close(creat(service.path.string, 0o600))
        }
        let error = #expect(throws: VarlinkError.self) { try service.server.start() }
        #expect(error?.code == .occupied)
        #expect(error?.remedy != nil)
        service.server.stop()
        #expect(try mode(of: service.path) & S_IFMT == kind)
    }

    @Test func `without its directory there is no socket`() throws {
        let directory = try TemporaryDirectory()
        let error = startError(at: directory.path.appending("no").appending("socket"))
        #expect(error?.code == .cannotListen)
        #expect(error?.underlyingError == .noSuchFileOrDirectory)
    }

    @Test func `a path is as long as an address has room for, at most`() throws {
        let directory = try TemporaryDirectory()
        let room = 107 - directory.path.length - 1
        #expect(startError(at: directory.path.appending(String(repeating: "x", count: room))) == nil)
        let error = startError(at: directory.path.appending(String(repeating: "x", count: room + 1)))
        #expect(error?.code == .pathTooLong)
    }

    @Test func `an interface without a name is refused`() throws {
        let directory = try TemporaryDirectory()
        let server = VarlinkServer(
            socket: directory.path.appending("socket"),
            service: VarlinkServiceInfo(vendor: "", product: "", version: "", url: ""),
            interfaces: [VarlinkInterface(description: "# nothing")], handler: TestHandler())
        let error = #expect(throws: VarlinkError.self) { try server.start() }
        #expect(error?.code == .malformedInterface)
    }

    @Test func `a stopped server leaves no socket and no connection, and can start again`() throws {
        let service = try TestService()
        try service.server.start()
        let client = try service.connect()
        try client.send(#"{"method":"org.example.test.Wait"}"#)
        let call = try service.handler.nextWaiting()
        service.server.stop()
        #expect(throws: Errno.noSuchFileOrDirectory) { try service.connect() }
        try client.waitUntilClosed()
        #expect(service.handler.state.update { $0.closed } == 1)
        // Nobody is there to answer any more.
        call.reply(NoParameters())
        service.server.stop()

        try service.server.start()
        #expect(try service.connect().call(Self.info).error == nil)
        service.server.stop()
    }

    @Test func `an answer that was given before the stop still arrives`() throws {
        let service = try TestService()
        try service.server.start()
        let client = try service.connect()
        try client.send(#"{"method":"org.example.test.Wait"}"#)
        try service.handler.nextWaiting().reply(TestHandler.Echo(text: "last"))
        service.server.stop()
        #expect(try client.receive() == .text("last"))
    }

    @Test func `a stopped server does not remove the socket of another`() throws {
        let service = try TestService()
        try service.server.start()
        unlink(service.path.string)
        let other = try RawListener(at: service.path)
        service.server.stop()
        _ = try service.connect()
        try other.descriptor.close()
    }

    private func startError(at path: FilePath) -> VarlinkError? {
        let server = VarlinkServer(
            socket: path, service: VarlinkServiceInfo(vendor: "", product: "", version: "", url: ""),
            interfaces: [], handler: TestHandler())
        do throws(VarlinkError) {
            try server.start()
            server.stop()
            return nil
        } catch {
            return error
        }
    }

    private func mode(of path: FilePath) throws -> mode_t {
        var status = stat()
        guard lstat(path.string, &status) == 0 else { throw Errno(rawValue: errno) }
        return status.st_mode
    }
}
