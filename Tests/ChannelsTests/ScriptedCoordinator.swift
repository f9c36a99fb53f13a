import FreezeCore
import LinuxCalls
import Synchronization
import SystemPackage
import Testing

@testable import Channels

/// Long enough for a busy machine; nothing waits that long unless it is broken.
let patience = Duration.seconds(20)

extension ChannelEvent {
    var operation: OperationID? {
        switch self {
        case .hotBackup(let id), .freeze(let id, _), .thaw(let id, _), .acknowledge(let id): id
        case .registered, .thawUndelivered, .lost, .note: nil
        }
    }

    var note: LogNote? {
        if case .note(let note) = self { note } else { nil }
    }

    var lossReason: String? {
        if case .lost(let reason) = self { reason } else { nil }
    }

    var isRegistration: Bool {
        if case .registered = self { true } else { false }
    }
}

/// Stands where the coordinator does: records every event, and answers what its script answers.
final class ScriptedCoordinator: Sendable {
    private let seen = Monitor<[ChannelEvent]>([])
    /// It holds this coordinator, so it is not held in return.
    private struct Link {
        weak var channel: (any RequestChannel & AnyObject)?
    }

    private let link = Mutex(Link())
    private let script: @Sendable (ChannelEvent) -> OperationAnswer?

    /// When its answers stop being true.
    private let limit: Moment?

    init(
        answeringBefore limit: Moment? = nil,
        _ script: @escaping @Sendable (ChannelEvent) -> OperationAnswer? = { _ in nil }
    ) {
        self.limit = limit
        self.script = script
    }

    /// A started channel that talks to this coordinator.
    func startChannel(
        _ device: FilePath, isRequired: Bool = true, limits: HyperVChannelLimits = .quick,
        opening: any HyperVDeviceOpening = SystemDeviceOpening()
    ) throws -> HyperVChannel {
        let channel = try HyperVChannel(
            device: device, isRequired: isRequired, limits: limits, opening: opening
        ) { [self] in receive($0) }
        link.withLock { $0.channel = channel }
        try channel.start()
        return channel
    }

    /// A started guest agent channel with this coordinator.
    func startChannel(_ setup: QEMUChannel.Setup) throws -> QEMUChannel {
        let channel = try QEMUChannel(setup) { [self] in receive($0) }
        link.withLock { $0.channel = channel }
        try channel.start()
        return channel
    }

    private func receive(_ event: ChannelEvent) {
        seen.update { $0.append(event) }
        guard let operation = event.operation, let verdict = script(event) else { return }
        link.withLock(\.channel)?.answer(
            operation, verdict, AnswerDetail(request: RequestID("r")), before: limit)
    }

    var events: [ChannelEvent] { seen.update(\.self) }
    var notes: [LogNote] { events.compactMap(\.note) }

    /// Waits for the n-th event that has the property.
    func wait<Property>(
        number: Int = 1, _ property: @escaping (ChannelEvent) -> Property?,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Property {
        let found = seen.wait(until: .now + patience) { events -> Property? in
            let matching = events.compactMap(property)
            return matching.count >= number ? matching[number - 1] : nil
        }
        return try #require(found, "only these events came: \(events)", sourceLocation: sourceLocation)
    }
}

extension HyperVChannelLimits {
    /// The defaults, but with short pauses.
    static let quick = HyperVChannelLimits(firstRetry: .milliseconds(1), longestRetry: .milliseconds(20))
}
