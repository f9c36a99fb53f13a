import FreezeCore
import SystemPackage

/// A service between the host and this machine, and whether the service works.
public struct HostService: Sendable, Hashable {
    /// All states: programs rely on these words.
    public enum State: String, CaseIterable, Sendable {
        /// The host can use the service.
        case working
        /// Driver and device are ready, and no program of this machine serves the service.
        case idle
        /// The host does not offer the service: an admin of the host has to switch the service on.
        case off
        /// The driver or the device is missing on this machine.
        case broken
        /// Linux does not support the service.
        case unsupported
    }

    /// A stable word for programs.
    public let id: String
    public let name: String
    /// The name in Hyper-V Manager.
    public var managerName: String?
    public var state: State
    /// Nil if the host does not announce the service.
    public var isOffered: Bool?
    public var classID: String?
    /// The state of the service's channel on Hyper-V's bus; 3: opened.
    public var channelState: Int?
    /// The bound driver.
    public var driver: String?
    public var device: FilePath?
    /// The process that serves the service; nil if the kernel does, or no process.
    public var process: DeviceHolder?
    /// A sentence on the state.
    public var statement: String?
    /// The next step of the admin, in a sentence; nil if none is needed.
    public var nextStep: String?

    init(id: String, name: String, state: State, isOffered: Bool?) {
        self.id = id
        self.name = name
        self.state = state
        self.isOffered = isOffered
    }

    /// For a device that quiesced does not have open.
    static let quiescedStep =
        "Run `systemctl enable --now quiesced.service`; if quiesced runs, `quiescectl check` has the reason."

    /// Whether a program or a driver of this machine is missing for a service of the host.
    public var isAtFault: Bool { state == .broken || state == .idle && isOffered == true }

    /// The program, or the driver of the kernel, that serves the service.
    public var server: String? {
        guard state == .working else { return nil }
        return process?.description ?? driver.map { "kernel (\($0))" }
    }

    func with(_ state: State, _ statement: String?, nextStep: String? = nil) -> HostService {
        var service = self
        service.state = state
        service.statement = statement.map(escapedControlCharacters)
        service.nextStep = nextStep.map(escapedControlCharacters)
        return service
    }
}
