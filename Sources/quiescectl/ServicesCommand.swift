import ArgumentParser
import Configuration
import FreezeCore
import LinuxSystem
import Presentation

/// `quiescectl services`: the services between this machine and its host, and whether they work.
struct ServicesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "services",
        abstract: "Show the services of the host, such as Hyper-V's integration services.",
        discussion: """
            On Hyper-V, lists the integration services by the names of Get-VMIntegrationService; on KVM, the guest agent \
            port, vsock, memory balloon, random numbers and clock. On other machines, prints one line. Changes nothing.

            STATE is
              working      The host can use the service.
              idle         Driver and device are ready; no program serves the service.
              off          The host does not offer the service.
              broken       The driver or the device is missing on this machine.
              unsupported  Linux has no part for the service.

            Exit status: 0 no service needs attention; 1 a service of the host is broken, or is offered and idle; 2 wrong \
            usage or configuration.

            Examples:
              quiescectl services
              quiescectl services --json
            """)

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    func run() throws {
        try RootNeeded.require(for: "services")
        let vsock = try options.load().vsock
        // The configuration refuses other ports.
        let services = HostServices(port: HyperVSocketPort(UInt32(vsock.port)))
        try output.write(services, orLines: ServicesText(services, isVsockEnabled: vsock.enabled == .on).lines)
        if !services.atFault.isEmpty { throw ExitCode.failed }
    }
}

/// The services as text for a terminal.
struct ServicesText {
    private let services: HostServices
    private let isVsockEnabled: Bool
    private let style = TextStyle.ofLocale

    init(_ services: HostServices, isVsockEnabled: Bool) {
        self.services = services
        self.isVsockEnabled = isVsockEnabled
    }

    /// A table, remarks with next steps, the registration of the port, and a summary.
    var lines: [String] {
        let sections = [table, remarks, registration, services.summary.wrapped(to: TextLayout.width)]
        return Array(sections.filter { !$0.isEmpty }.joined(separator: [""]))
    }

    private var table: [String] {
        TextTable(
            [.init("SERVICE", limit: 23), .init("STATE", limit: 11), .init("SERVED BY")],
            rows: services.services.map { [$0.name, $0.state.rawValue, style.safe($0.server ?? "-")] }
        ).lines
    }

    /// Services with the same remark share a paragraph.
    private var remarks: [String] {
        var remarks: [(names: [String], statement: String, nextStep: String?)] = []
        for service in services.services {
            guard let statement = service.statement else { continue }
            if let index = remarks.firstIndex(where: {
                $0.statement == statement && $0.nextStep == service.nextStep
            }) {
                remarks[index].names.append(name(service))
            } else {
                remarks.append(([name(service)], statement, service.nextStep))
            }
        }
        return remarks.flatMap { remark in
            let text = "\(remark.names.joined(separator: ", ")): \(remark.statement)"
            let nextStep = remark.nextStep.map { "  Next: \(style.safe($0))" }
            return style.safe(text).wrapped(to: TextLayout.width, indentation: 2)
                + (nextStep.map { indented($0) } ?? [])
        }
    }

    private func name(_ service: HostService) -> String {
        // Hyper-V Manager shows the service by another name.
        guard service.state == .off, let managerName = service.managerName, managerName != service.name else {
            return service.name
        }
        return "\(service.name) (\"\(managerName)\" in Hyper-V Manager)"
    }

    private func indented(_ text: String) -> [String] {
        text.wrapped(to: TextLayout.width - 2, indentation: 2).map { "  \($0)" }
    }

    /// The commands are not wrapped, so that an admin can copy the lines.
    private var registration: [String] {
        guard let port = services.socketPort else { return [] }
        let condition = isVsockEnabled ? "" : "With enabled = true in section [vsock] of the configuration: "
        let text = """
            \(condition)Programs on the host connect to port \(port.number) of this machine as service \(port.serviceID). To register the \
            service on the host, run in PowerShell as an administrator:
            """
        return text.wrapped(to: TextLayout.width) + port.registration.map { "  \($0)" }
    }
}
