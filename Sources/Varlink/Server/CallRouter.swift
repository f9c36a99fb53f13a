/// Brings a call to whoever answers it.
struct CallRouter: Sendable {
    private let info: VarlinkServiceInfo
    private let interfaces: [String: VarlinkInterface]
    /// In the order they were given, after the one that every service has.
    private let names: [String]
    let handler: any VarlinkHandler

    init(info: VarlinkServiceInfo, interfaces: [VarlinkInterface], handler: any VarlinkHandler) {
        let all = [.service] + interfaces
        self.info = info
        self.interfaces = Dictionary(all.map { ($0.name, $0) }) { first, _ in first }
        self.names = all.map(\.name)
        self.handler = handler
    }

    func route(_ message: CallMessage, from connection: VarlinkConnection) {
        let call = VarlinkCall(message, from: connection)
        guard let interface = interfaces[message.interface] else {
            return call.fail(.interfaceNotFound(message.interface))
        }
        guard interface.methods.contains(String(message.method.dropFirst(interface.name.count + 1))) else {
            return call.fail(.methodNotFound(message.method))
        }
        // Afterwards the connection would speak another protocol: there is none.
        if message.wantsUpgrade { return call.fail(.invalidParameter("upgrade")) }
        if interface.name == VarlinkInterface.service.name {
            describe(call)
        } else {
            handler.handle(call)
        }
    }

    /// Answers a call of the interface that every service has.
    private func describe(_ call: VarlinkCall) {
        switch call.method {
        case "\(VarlinkInterface.service.name).GetInfo":
            call.reply(
                Info(
                    vendor: info.vendor, product: info.product, version: info.version, url: info.url,
                    interfaces: names))
        default:
            do {
                let name = try call.parameters(as: InterfaceName.self).interface
                guard let interface = interfaces[name] else { return call.fail(.interfaceNotFound(name)) }
                call.reply(["description": interface.description])
            } catch {
                call.fail(error)
            }
        }
    }

    private struct Info: Encodable {
        let vendor: String
        let product: String
        let version: String
        let url: String
        let interfaces: [String]
    }

    private struct InterfaceName: Decodable {
        let interface: String
    }
}
