import Channels
import FreezeCore
import Glibc
import History
import LinuxCalls
import Synchronization
import SystemPackage
import Testing

/// The control socket as somebody else's client finds it: what is sent is what the interface's text says.
@Suite(
    .needsRoot(toTest: "the control socket, which answers root only"),
    .needsPythonVarlink(toTest: "the control socket with a client of others"))
struct ControlChannelTests {
    /// Every reply as it comes, against the interface's text: a member that is not declared there is dropped by the
    /// filter.
    private static let raw = """
        import json, socket
        control = client.get_interface("org.quiesce.Control1")

        def call(method, more=False, **parameters):
            line = socket.socket(socket.AF_UNIX)
            line.connect(path)
            message = {"method": "org.quiesce.Control1." + method, "parameters": parameters, "more": more}
            line.sendall(json.dumps(message).encode() + b"\\0")
            return line.makefile("rb")

        def answer(stream):
            data = b""
            while (byte := stream.read(1)) != b"\\0": data += byte
            return json.loads(data)

        def reply(method, **parameters):
            return answer(call(method, **parameters))

        def declared(method, reply):
            kind = control.get_method(method).out_type if "error" not in reply \\
                else control.members[reply["error"].split(".")[-1]].type
            return control.filter_params(method, kind, False, reply["parameters"], None) == reply["parameters"]
        """

    private func run(_ script: String, with daemon: FakeDaemon) async throws -> [String] {
        let directory = try TemporaryDirectory()
        let socket = directory.path.appending("control.sock")
        let channel = ControlChannel(socket: socket, inquiry: daemon) { daemon.take($0, $1) }
        daemon.attach(channel)
        channel.start()
        let isListening = try await blocking {
            daemon.seen.wait(until: .now + .seconds(120)) { $0.contains("control registered") ? true : nil }
        }
        #expect(isListening == true)
        let whole = "path = '\(socket)'\n" + Self.raw + "\n" + script
        let output = try await blocking { try PythonVarlink.run(whole, at: socket) }
        try await blocking { channel.stop() }
        return output
    }

    @Test func `status is what the interface says it is`() async throws {
        let output = try await run(
            """
            status = reply("Status")
            print(declared("Status", status), status["parameters"]["state"], status["parameters"]["last_backup"]["level"])
            print([sorted(channel.items()) for channel in status["parameters"]["channels"]])
            """, with: FakeDaemon())
        #expect(
            output == [
                "True recovering application",
                "[[('name', 'control'), ('registered', True), ('state', 'listening')]]",
                "exit status 0",
            ])
    }

    @Test func `requests, their failures, and what happens meanwhile`() async throws {
        let daemon = FakeDaemon()
        let output = try await run(
            """
            freeze = reply("Freeze")
            print(declared("Freeze", freeze), freeze["parameters"]["request"], freeze["parameters"]["dry_run"])
            busy = reply("Freeze", hold=True)
            print(declared("Freeze", busy), busy["error"], sorted(busy["parameters"].items()))
            thaw = reply("Thaw", force=True)
            print(declared("Thaw", thaw), sorted(thaw["parameters"].items()))
            history = reply("History", limit=5)
            print(declared("History", history), len(history["parameters"]["records"]))
            """, with: daemon)
        #expect(
            output == [
                "True r1 False",
                "True org.quiesce.Control1.Busy [('reason', 'busy'), ('request', 'r1')]",
                "True [('dry_run', False), ('request', 'r1')]",
                "True 1", "exit status 0",
            ])
        #expect(
            daemon.seen.update(\.self) == [
                "control registered", "control freeze", "exec freeze", "exec lost",
                "control thaw by force",
            ])
    }

    @Test func `a subscriber is told everything in order`() async throws {
        let output = try await run(
            """
            monitor = call("Monitor", more=True)
            events = [answer(monitor)]
            reply("Status")
            events += [answer(monitor) for _ in range(8)]
            print(all(declared("Monitor", event) and event["continues"] for event in events))
            print([event["parameters"].get("event", {}).get("kind") for event in events])
            """, with: FakeDaemon(tellsProgressAtStatus: true))
        #expect(
            output == [
                "True",
                "[None, 'state', 'planned', 'hook_started', 'hook_ended', 'froze', 'thawed', 'failed', 'finished']",
                "exit status 0",
            ])
    }

    @Test func `the options of a request reach the daemon as they are declared`() async throws {
        let daemon = FakeDaemon()
        let output = try await run(
            """
            reply("Freeze", mount_points=["/srv", "/my\\\\040data"], window_ms=1500)
            reply("Freeze", hooks=False, rehearsal=True)
            reply("Freeze", freeze=False)
            reply("Thaw", hooks_only=True, request="r1", failure="no snapshot")
            """, with: daemon)
        #expect(output == ["exit status 0"])
        #expect(
            daemon.seen.update(\.self) == [
                "control registered", "control freeze (of /srv, /my data; for 1.5 seconds)",
                "control freeze (without hooks; rehearsal)", "hooks freeze (hooks only)", "hooks thaw",
            ])
    }

    @Test func `options that contradict each other, or exceed a limit, are refused`() async throws {
        let daemon = FakeDaemon()
        let output = try await run(
            """
            for method, parameters in [
                ("Freeze", {"mount_points": []}), ("Freeze", {"mount_points": ["srv"]}),
                ("Freeze", {"mount_points": ["/" + str(i) for i in range(1001)]}),
                ("Freeze", {"window_ms": 0}), ("Freeze", {"window_ms": -5}), ("Freeze", {"window_ms": 86400001}),
                ("Freeze", {"hooks": False, "freeze": False}), ("Freeze", {"hold": True, "freeze": False}),
                ("Thaw", {"force": True, "hooks_only": True}),
            ]:
                print(reply(method, **parameters)["parameters"]["parameter"])
            """, with: daemon)
        #expect(
            output == [
                "mount_points", "mount_points", "mount_points", "window_ms", "window_ms", "window_ms", "hooks",
                "hold",
                "force", "exit status 0",
            ])
        #expect(daemon.seen.update(\.self) == ["control registered"])
    }

    @Test func `a call with what it cannot take is refused`() async throws {
        let output = try await run(
            """
            for method, parameters in [("History", {"limit": 0}), ("Thaw", {"force": "yes"}), ("Monitor", {})]:
                refused = reply(method, **parameters)
                print(refused["error"], refused["parameters"])
            """, with: FakeDaemon())
        #expect(
            output == [
                "org.varlink.service.InvalidParameter {'parameter': 'limit'}",
                "org.varlink.service.InvalidParameter {'parameter': 'force'}",
                "org.varlink.service.ExpectedMore {}", "exit status 0",
            ])
    }
}
