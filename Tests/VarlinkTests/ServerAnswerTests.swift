import FreezeCore
import Glibc
import Testing
import Varlink

/// What a server answers to calls that are in order.
struct ServerAnswerTests {
    @Test func `GetInfo names the vendor and every interface`() throws {
        try TestService.run { service in
            let answer = try service.connect().call(#"{"method":"org.varlink.service.GetInfo"}"#)
            #expect(answer.parameters.vendor == "Example")
            #expect(answer.parameters.interfaces == ["org.varlink.service", "org.example.test"])
        }
    }

    @Test(arguments: ["org.varlink.service", "org.example.test"])
    func `an interface's description can be asked for`(name: String) throws {
        try TestService.run { service in
            let answer = try service.connect().call(
                #"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"\#(name)"}}"#)
            #expect(answer.parameters.description?.contains("interface \(name)\n") == true)
        }
    }

    @Test(arguments: [
        (
            #"{"method":"org.example.test.Echo","parameters":{"text":"Grüße / \u0000 \" 🧊"}}"#,
            Answer.text("Grüße / \u{0} \" 🧊")
        ),
        (#"{"method":"org.example.test.Count","parameters":{"to":1}}"#, .number(1)),
        // Members that are not there, are null, or that nobody knows.
        (
            #"{"x":[],"method":"org.example.test.Echo","more":null,"parameters":{"y":1,"text":"a"}}"#,
            .text("a")
        ),
        (#"{"method":"org.example.test.Hold","parameters":{"on":false}}"#, .empty),
        (
            #"{"method":"org.example.test.Break","parameters":{"reason":"glass"}}"#,
            Answer(error: "org.example.test.Broken", parameters: .init(reason: "glass"))
        ),
    ])
    func `a call is answered`(call: String, answer: Answer) throws {
        try TestService.run { service in
            let client = try service.connect()
            #expect(try client.call(call) == answer)
        }
    }

    @Test(arguments: [
        (#"{"method":"org.example.test.Echo"}"#, Answer.invalid("text")),
        (#"{"method":"org.example.test.Echo","parameters":null}"#, .invalid("text")),
        (#"{"method":"org.example.test.Echo","parameters":{}}"#, .invalid("text")),
        (#"{"method":"org.example.test.Echo","parameters":{"text":null}}"#, .invalid("text")),
        (#"{"method":"org.example.test.Echo","parameters":{"text":1}}"#, .invalid("text")),
        // The decoder does not tell where a number is that fits into nothing.
        (#"{"method":"org.example.test.Count","parameters":{"to":1e99}}"#, .invalid("parameters")),
        (#"{"method":"org.example.test.Echo","upgrade":true}"#, .invalid("upgrade")),
        (#"{"method":"org.varlink.service.GetInterfaceDescription"}"#, .invalid("interface")),
        (
            #"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"a.b"}}"#,
            Answer(error: "org.varlink.service.InterfaceNotFound", parameters: .init(interface: "a.b"))
        ),
        (
            #"{"method":"a.b.C"}"#,
            Answer(error: "org.varlink.service.InterfaceNotFound", parameters: .init(interface: "a.b"))
        ),
        (
            #"{"method":"GetInfo"}"#,
            Answer(error: "org.varlink.service.InterfaceNotFound", parameters: .init(interface: ""))
        ),
        (
            #"{"method":"org.example.test.Nothing"}"#,
            Answer(
                error: "org.varlink.service.MethodNotFound", parameters: .init(method: "org.example.test.Nothing"))
        ),
        (
            #"{"method":"org.example.test.Count","parameters":{"to":2}}"#,
            Answer(error: "org.varlink.service.ExpectedMore", parameters: .init())
        ),
        (
            #"{"method":"org.example.test.Drop"}"#,
            Answer(
                error: "org.varlink.service.MethodNotImplemented",
                parameters: .init(method: "org.example.test.Drop"))
        ),
    ])
    func `a call that cannot be done is answered with an error, and the next is done`(
        call: String, answer: Answer
    ) throws {
        try TestService.run { service in
            let client = try service.connect()
            #expect(try client.call(call) == answer)
            #expect(
                try client.call(#"{"method":"org.example.test.Echo","parameters":{"text":"b"}}"#) == .text("b"))
        }
    }

    @Test func `a client that asked for more gets every answer, and knows the last`() throws {
        try TestService.run { service in
            let client = try service.connect()
            try client.send(#"{"method":"org.example.test.Count","parameters":{"to":100},"more":true}"#)
            for number in 1..<100 { #expect(try client.receive() == .number(number, continues: true)) }
            #expect(try client.receive() == .number(100))
        }
    }

    @Test func `a oneway call gets no answer`() throws {
        try TestService.run { service in
            let client = try service.connect()
            for method in ["Drop", "Echo", "Nothing", "Wait"] {
                try client.send(#"{"method":"org.example.test.\#(method)","oneway":true}"#)
            }
            #expect(try client.call(#"{"method":"org.example.test.Count","parameters":{"to":1}}"#) == .number(1))
            try service.handler.nextWaiting().reply(TestHandler.Echo(text: "late"))
            #expect(try client.call(#"{"method":"org.example.test.Count","parameters":{"to":1}}"#) == .number(1))
        }
    }

    @Test func `calls sent at once are handled one after the other, and answered in order`() throws {
        try TestService.run { service in
            let client = try service.connect()
            // In one piece: nobody reads on while the first call waits.
            var calls = [#"{"method":"org.example.test.Wait"}"#]
            calls += (1...1000).map { #"{"method":"org.example.test.Echo","parameters":{"text":"\#($0)"}}"# }
            try client.send(bytes: calls.flatMap { Array($0.utf8) + [0] })
            let waiting = try service.handler.nextWaiting()
            // Another connection is not kept waiting, and by then the first has been read as far as it will be.
            #expect(
                try service.connect().call(#"{"method":"org.example.test.Count","parameters":{"to":1}}"#)
                    == .number(1))
            #expect(service.handler.waitUntil { $0.handled.count == 2 })
            waiting.reply(TestHandler.Echo(text: "first"))
            #expect(try client.receive() == .text("first"))
            for number in 1...1000 { #expect(try client.receive() == .text("\(number)")) }
        }
    }

    @Test func `only the first of several final answers counts, from whatever thread`() throws {
        try TestService.run { service in
            let client = try service.connect()
            for _ in 1...50 {
                try client.send(#"{"method":"org.example.test.Wait"}"#)
                let call = try service.handler.nextWaiting()
                let answers = try (1...4).map { number in
                    try Background { call.reply(TestHandler.Number(number: number)) }
                }
                call.fail(.permissionDenied)
                for answer in answers { try answer.value() }
                _ = try client.receive()
                #expect(try client.call(#"{"method":"org.example.test.Hold","parameters":{"on":true}}"#) == .empty)
            }
        }
    }
}
