import FreezeCore
import LinuxCalls
import SystemPackage

/// Plays the Hyper-V host, and the driver in between, towards a daemon: on a pty in place of `/dev/vmbus/hv_vss`.
///
/// It keeps the driver's rules, the unpleasant ones too (drivers/hv/hv_snapshot.c): one operation at a time; no
/// answer within 30 s, or 900 s for FREEZE, is a failure; an answer that comes later is taken for the answer to the
/// next operation. A thread of its own reads what the daemon writes; the methods that wait block theirs.
public final class HyperVHostSimulator: Sendable {
    /// What the daemon is to open.
    public let devicePath: FilePath
    private let terminal: FilePath
    private let limits: HyperVHostLimits
    private let master: FileDescriptor
    private let state = Monitor(HyperVHostState())
    private let wakeUp: WakeUp

    /// - Parameters:
    ///   - path: Where a symbolic link to the pty is made; nil for none. One that an earlier simulator left behind
    ///     is replaced, anything else is not.
    ///   - limits: Only tests need others than the defaults.
    /// - Throws: `.deviceUnusable` if there is something at the path, `.systemCall` for what the system refuses.
    public init(at path: FilePath? = nil, limits: HyperVHostLimits = HyperVHostLimits()) throws(ChannelError) {
        self.limits = limits
        do throws(Errno) {
            wakeUp = try WakeUp()
            (master, terminal) = try RawTerminal.makePair()
        } catch {
            throw ChannelError(
                .systemCall, subject: "simulated Hyper-V device", problem: "it cannot be made: \(error)",
                remedy: "Check that /dev/pts is mounted", underlyingError: error)
        }
        devicePath = path ?? terminal
        do throws(ChannelError) {
            if let path { try DeviceLink.make(path, to: terminal) }
            try HyperVHostTerminal(master: master, state: state, wakeUp: wakeUp).startThread()
        } catch {
            try? master.close()
            throw error
        }
    }

    deinit {
        close()
    }

    /// Waits until a daemon has registered as often as that since the start; false if the moment came first.
    public func waitForRegistration(number: Int = 1, until deadline: Moment) -> Bool {
        state.wait(until: deadline) { $0.registrations >= number && $0.isRegistered ? true : nil } ?? false
    }

    /// Waits until no daemon is registered; false if the moment came first.
    func waitForDeparture(until deadline: Moment) -> Bool {
        state.wait(until: deadline) { $0.isRegistered ? nil : true } ?? false
    }

    /// Waits until at least so many events have been recorded.
    public func waitForEvents(_ count: Int, until deadline: Moment) -> Bool {
        state.wait(until: deadline) { $0.events.count >= count ? true : nil } ?? false
    }

    /// Everything seen of the daemon, oldest first.
    public var events: [HyperVHostEvent] { state.update(\.events) }

    /// Sends an operation and waits for what becomes of it.
    ///
    /// - Parameter timeout: How long the driver waits for the answer; nil for what it does.
    /// - Throws: `.deviceUnusable` if the device takes no more, or is hung up.
    public func perform(
        _ operation: HyperVOperation, timeout: Duration? = nil
    ) throws(ChannelError) -> HyperVHostAnswer {
        let timeout = timeout ?? limits.timeout(of: operation)
        // As long as an operation is outstanding the driver leaves the next one in the ring buffer.
        let begun = state.wait(until: .now + limits.freeze) { state -> Begun? in
            let sent = Moment.now
            guard let number = state.begin(operation) else { return nil }
            guard state.outcome(of: number) == nil else { return Begun(number: number, sent: sent, error: nil) }
            do throws(ChannelError) {
                try write(HyperVMessage(operation: operation).bytes, state)
                return Begun(number: number, sent: sent, error: nil)
            } catch {
                state.giveUp(number)
                return Begun(number: number, sent: sent, error: error)
            }
        }
        guard let begun else { throw unusable("the operation before \(operation) never ended") }
        if let error = begun.error { throw error }
        let sent = begun.sent
        let outcome = state.wait(until: sent + timeout) { $0.outcome(of: begun.number) }
        let final =
            outcome
            ?? state.update { state in
                state.giveUp(begun.number)
                // The answer may have come at the last moment.
                return state.outcome(of: begun.number) ?? .timedOut
            }
        return HyperVHostAnswer(operation: operation, outcome: final, sent: sent, duration: .now - sent)
    }

    /// Sends bytes as they are: for messages that no driver would send.
    public func send(_ bytes: [UInt8]) throws(ChannelError) {
        if let error = state.update({ state -> ChannelError? in
            do throws(ChannelError) {
                try write(bytes, state)
                return nil
            } catch {
                return error
            }
        }) {
            throw error
        }
    }

    /// Closes the device at the host's end, as unloading the driver does: the daemon sees POLLHUP.
    public func hangUp() {
        state.update { $0.isClosed = true }
        wakeUp.signal()
    }

    /// Hangs up and removes the symbolic link, if it is still this simulator's.
    public func close() {
        hangUp()
        if devicePath != terminal { DeviceLink.remove(devicePath, to: terminal) }
    }

    /// An operation on its way to the daemon.
    private struct Begun {
        let number: Int
        let sent: Moment
        let error: ChannelError?
    }

    private func write(_ bytes: [UInt8], _ state: HyperVHostState) throws(ChannelError) {
        guard !state.isClosed else { throw unusable("it is hung up") }
        do throws(Errno) {
            try writeOnce(bytes, to: master)
        } catch {
            throw unusable("writing failed: \(error)", error)
        }
    }

    private func unusable(_ problem: String, _ error: Errno? = nil) -> ChannelError {
        ChannelError(
            .deviceUnusable, subject: devicePath.string, problem: problem, underlyingError: error)
    }
}

/// How long the simulated driver waits for an answer before it tells the host HV_E_FAIL.
public struct HyperVHostLimits: Hashable, Sendable {
    /// VSS_FREEZE_TIMEOUT of hv_snapshot.c.
    public var freeze: Duration
    /// HV_UTIL_TIMEOUT of hyperv_vmbus.h, for every other operation.
    public var other: Duration

    public init(freeze: Duration = .seconds(900), other: Duration = .seconds(30)) {
        self.freeze = freeze
        self.other = other
    }

    public func timeout(of operation: HyperVOperation) -> Duration {
        operation == .freeze ? freeze : other
    }
}
