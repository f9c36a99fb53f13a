import Testing
import Varlink

/// The server as somebody else's client finds it.
@Suite(.needsPythonVarlink(toTest: "the server with a client of others"))
struct PythonClientTests {
    @Test func `it learns what there is`() throws {
        let output = try run(
            """
            with client.open("org.varlink.service") as service:
                info = service.GetInfo()
                print(info["vendor"], info["product"], info["version"], info["url"], info["interfaces"])
            """)
        #expect(
            output == [
                "Example Test 1 https://example.org ['org.varlink.service', 'org.example.test']", "exit status 0",
            ])
    }

    /// It fetches each description, parses it, and makes its methods from it.
    @Test func `it understands every interface`() throws {
        let output = try run(
            """
            for name in client.get_interfaces():
                interface = client.get_interface(name)
                print(interface.name, sorted(m for m in interface.members if m[0].isupper()))
            """)
        #expect(
            output == [
                "org.varlink.service ['ExpectedMore', 'GetInfo', 'GetInterfaceDescription', 'InterfaceNotFound', "
                    + "'InvalidParameter', 'MethodNotFound', 'MethodNotImplemented', 'PermissionDenied']",
                "org.example.test ['Break', 'Broken', 'Count', 'Drop', 'Echo', 'Hold', 'Subscribe', 'Wait']",
                "exit status 0",
            ])
    }

    @Test func `it calls, takes a stream, sends without waiting, and catches errors`() throws {
        let output = try run(
            """
            def attempt(call):
                try:
                    print(call())
                except varlink.VarlinkError as error:
                    print(error.error(), error.parameters())

            with client.open("org.example.test") as test:
                print(test.Echo("ß / 🧊"))
                print([reply["number"] for reply in test.Count(3, _more=True)])
                print(test.Hold(on=True, _oneway=True))
                attempt(lambda: test.Break("glass"))
                attempt(lambda: test.Count(3))
                attempt(lambda: test.Drop())
                attempt(lambda: client.get_interface("a.b"))
                print(test.Echo("still there")["text"])
            """)
        #expect(
            output == [
                "{'text': 'ß / 🧊'}",
                "[1, 2, 3]",
                "None",
                "org.example.test.Broken {'reason': 'glass'}",
                "org.varlink.service.ExpectedMore {}",
                "org.varlink.service.MethodNotImplemented {'method': 'org.example.test.Drop'}",
                "org.varlink.service.InterfaceNotFound {'interface': 'a.b'}",
                "still there",
                "exit status 0",
            ])
    }

    private func run(_ script: String) throws -> [String] {
        var output: [String] = []
        try TestService.run { service in
            output = try PythonVarlink.run(script, at: service.path)
        }
        return output
    }
}
