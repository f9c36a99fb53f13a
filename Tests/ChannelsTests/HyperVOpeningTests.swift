import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage
import Testing

@testable import Channels

/// Opens for real, after the failures it was given.
final class CountingOpening: HyperVDeviceOpening {
    private struct State {
        var failures: [Errno]
        var attempts: [Moment] = []
        var scans = 0
    }

    private let state: Monitor<State>
    private let found: [DeviceHolder]
    private let made: Moment?

    /// - Parameter made: When the driver is said to have made the device.
    init(failures: [Errno] = [], holders: [DeviceHolder] = [], made: Moment? = nil) {
        state = Monitor(State(failures: failures.reversed()))
        found = holders
        self.made = made
    }

    func open(_ device: FilePath) throws(Errno) -> FileDescriptor {
        let failure = state.update { state in
            state.attempts.append(.now)
            return state.failures.popLast()
        }
        if let failure { throw failure }
        return try SystemDeviceOpening().open(device)
    }

    func holders(of device: FilePath) -> [DeviceHolder] {
        state.update { $0.scans += 1 }
        return found
    }

    func age(of device: FilePath) -> Duration? {
        made.map { .now - $0 }
    }

    var attempts: [Moment] { state.update(\.attempts) }
    var scans: Int { state.update(\.scans) }

    func waitForAttempts(_ count: Int, atMost limit: Duration = patience) -> Bool {
        state.wait(until: .now + limit) { $0.attempts.count >= count ? true : nil } ?? false
    }
}

@Suite("Opening the Hyper-V device")
struct HyperVOpeningTests {
    @Test func aBusyDeviceIsNamedOnceWithItsHolderAndTheRemedy() throws {
        let host = try HyperVHostSimulator()
        let stock = DeviceHolder(processID: 417, name: "hv_vss_daemon", service: "hv-vss-daemon.service")
        let opening = CountingOpening(failures: [.resourceBusy, .resourceBusy, .resourceBusy], holders: [stock])
        let coordinator = ScriptedCoordinator()
        let channel = try coordinator.startChannel(host.devicePath, opening: opening)
        #expect(host.waitForRegistration(until: .now + patience))
        _ = try coordinator.wait { $0.isRegistration ? true : nil }
        let notes = coordinator.notes
        #expect(notes.map(\.level) == [.warning, .info])
        #expect(
            notes.first?.message
                == "\(host.devicePath): hv_vss_daemon (process 417) of hv-vss-daemon.service has the device "
                + "open, and only one process can. Run systemctl mask --now hv-vss-daemon.service")
        #expect(notes.last?.message.hasSuffix("after 3 failed attempts") == true)
        #expect(opening.scans == 1)
        channel.stop()
    }

    @Test func aHolderThatIsNotTheStockDaemonIsNotToBeMasked() {
        let shell = DeviceHolder(processID: 5, name: "python3", service: "ssh.service")
        let error = HyperVOpeningFailures.explain(.resourceBusy, device: "/dev/vmbus/hv_vss", holders: [shell])
        #expect(error.remedy == "Stop process 5, and prevent its restart")
        let unseen = HyperVOpeningFailures.explain(.resourceBusy, device: "/dev/vmbus/hv_vss", holders: [])
        #expect(unseen.remedy?.contains("hv-vss-daemon.service hv_vss_daemon.service hypervvssd.service") == true)
    }

    @Test func eachKindOfFailureIsSaidOnce() throws {
        let host = try HyperVHostSimulator()
        let opening = CountingOpening(
            failures: [.noSuchFileOrDirectory, .noSuchFileOrDirectory, .badFileDescriptor, .badFileDescriptor])
        let coordinator = ScriptedCoordinator()
        let channel = try coordinator.startChannel(host.devicePath, opening: opening)
        #expect(host.waitForRegistration(until: .now + patience))
        _ = try coordinator.wait { $0.isRegistration ? true : nil }
        #expect(coordinator.notes.map(\.level) == [.warning, .warning, .info])
        channel.stop()
    }

    @Test("A missing device is a warning only where one is required", arguments: [true, false])
    func aMissingDeviceIsToldOnce(isRequired: Bool) throws {
        let opening = CountingOpening(failures: Array(repeating: .noSuchFileOrDirectory, count: 1_000))
        let coordinator = ScriptedCoordinator()
        let channel = try coordinator.startChannel("/nowhere", isRequired: isRequired, opening: opening)
        #expect(opening.waitForAttempts(4))
        channel.stop()
        #expect(channel.waitUntilEnded(.now + patience))
        #expect(coordinator.notes.map(\.level) == [isRequired ? .warning : .info])
        #expect(coordinator.notes.first?.message.contains("there is no such device") == true)
    }

    @Test func anyOtherFailureIsAWarningForADeviceThatIsNotRequired() throws {
        let opening = CountingOpening(failures: [.noSuchFileOrDirectory, .resourceBusy])
        let host = try HyperVHostSimulator()
        let coordinator = ScriptedCoordinator()
        let channel = try coordinator.startChannel(host.devicePath, isRequired: false, opening: opening)
        _ = try coordinator.wait { $0.isRegistration ? true : nil }
        #expect(coordinator.notes.map(\.level) == [.info, .warning, .info])
        channel.stop()
    }

    @Test func thePausesDoubleUpToTheLongest() {
        var pauses = RetryPauses(first: .milliseconds(100), longest: .seconds(30))
        let seconds = (0..<10).map { _ in pauses.takeNext() }
        #expect(seconds.prefix(3) == [.milliseconds(100), .milliseconds(200), .milliseconds(400)])
        #expect(seconds.suffix(1) == [.seconds(30)])
        pauses.startOver()
        #expect(pauses.takeNext() == .milliseconds(100))
    }

    @Test func theAttemptsKeepThePauses() throws {
        let opening = CountingOpening(failures: Array(repeating: .noSuchFileOrDirectory, count: 1_000))
        let limits = HyperVChannelLimits(firstRetry: .milliseconds(4), longestRetry: .milliseconds(16))
        let channel = try ScriptedCoordinator().startChannel("/nowhere", limits: limits, opening: opening)
        #expect(opening.waitForAttempts(6))
        channel.stop()
        let attempts = opening.attempts
        let pauses = zip(attempts, attempts.dropFirst()).map { $1 - $0 }
        for (pause, least) in zip(pauses, [4, 8, 16, 16, 16]) {
            #expect(pause >= .milliseconds(least))
        }
    }

    @Test func aDeviceIsOpenedWhenItComes() throws {
        let directory = try TemporaryDirectory()
        let device = directory.path.appending("vmbus").appending("hv_vss")
        let coordinator = ScriptedCoordinator()
        // Without being told it would look again after the end of this test.
        let limits = HyperVChannelLimits(firstRetry: .seconds(600), longestRetry: .seconds(600))
        let channel = try coordinator.startChannel(device, isRequired: false, limits: limits)
        #expect(try coordinator.wait(\.note).message.contains("there is no such device"))
        mkdir(device.removingLastComponent().string, 0o755)
        symlink("/nowhere", device.removingLastComponent().appending("hv_kvp").string)
        let host = try HyperVHostSimulator()
        symlink(host.devicePath.string, device.string)
        #expect(host.waitForRegistration(until: .now + patience))
        channel.stop()
        #expect(channel.waitUntilEnded(.now + patience))
        unlink(device.string)
        unlink(device.removingLastComponent().appending("hv_kvp").string)
    }

    @Test func aDeviceIsLeftAloneUntilItsDriverIsDoneWithMakingIt() throws {
        let host = try HyperVHostSimulator()
        var limits = HyperVChannelLimits.quick
        limits.settling = .milliseconds(300)
        let made = Moment.now
        let opening = CountingOpening(made: made)
        let channel = try ScriptedCoordinator().startChannel(host.devicePath, limits: limits, opening: opening)
        #expect(host.waitForRegistration(until: .now + patience))
        #expect(try #require(opening.attempts.first) - made >= limits.settling)
        channel.stop()
    }

    @Test(.needsRoot(toTest: "how old a driver's device is"))
    func onlyADriversDeviceHasAnAge() throws {
        let directory = try TemporaryDirectory()
        // The numbers of nobody (miscdevice.h has 10 for the major one).
        let device = directory.path.appending("device")
        let before = Moment.now
        #expect(mknod(device.string, S_IFCHR | 0o600, 10 << 8 | 1) == 0)
        defer { unlink(device.string) }
        let age = try #require(SystemDeviceOpening().age(of: device))
        // The filesystem's clock ticks more coarsely than this one.
        #expect(age <= .now - before + .milliseconds(20))
        #expect(SystemDeviceOpening().age(of: "/dev/null") == nil)
        #expect(SystemDeviceOpening().age(of: "/etc/passwd") == nil)
        #expect(SystemDeviceOpening().age(of: "/nowhere") == nil)
        let host = try HyperVHostSimulator()
        #expect(SystemDeviceOpening().age(of: host.devicePath) == nil)
    }

    @Test("A character device that is not the driver", arguments: ["/dev/zero", "/dev/null"])
    func refusesAnotherDevice(path: String) throws {
        let coordinator = ScriptedCoordinator()
        let channel = try coordinator.startChannel(FilePath(path))
        let note = try coordinator.wait(\.note)
        #expect(note.level == .warning)
        #expect(note.message.contains(path == "/dev/zero" ? "gave 256 bytes" : "closed"))
        channel.stop()
    }

    @Test func refusesARegularFile() throws {
        let coordinator = ScriptedCoordinator()
        let channel = try coordinator.startChannel("/etc/passwd")
        #expect(try coordinator.wait(\.note).message.contains("no character device"))
        channel.stop()
    }

    @Test func saysThatNobodyRepliesToTheRegistration() throws {
        let terminal = try RawTerminal.makePair()
        defer { try? terminal.master.close() }
        var limits = HyperVChannelLimits.quick
        limits.handshake = .milliseconds(20)
        let coordinator = ScriptedCoordinator()
        let channel = try coordinator.startChannel(terminal.device, limits: limits)
        #expect(try coordinator.wait(\.note).message.contains("no reply to the registration"))
        channel.stop()
    }

    @Test("stop() ends it at once", arguments: ["during a pause", "during the handshake", "while serving"])
    func stopsAtOnce(moment: String) throws {
        let coordinator = ScriptedCoordinator()
        let limits = HyperVChannelLimits(
            handshake: .seconds(3_600), firstRetry: .seconds(3_600), longestRetry: .seconds(3_600))
        let terminal = try RawTerminal.makePair()
        defer { try? terminal.master.close() }
        let host = try HyperVHostSimulator()
        let channel: HyperVChannel
        switch moment {
        case "during a pause":
            channel = try coordinator.startChannel("/nowhere", limits: limits)
            _ = try coordinator.wait(\.note)
        case "during the handshake":
            channel = try coordinator.startChannel(terminal.device, limits: limits)
            #expect(!pollOne(terminal.master, events: .readable, atMost: patience).isEmpty)
        default:
            channel = try coordinator.startChannel(host.devicePath, limits: limits)
            _ = try coordinator.wait { $0.isRegistration ? true : nil }
        }
        channel.stop()
        #expect(channel.waitUntilEnded(.now + patience))
    }

    @Test func findsTheProcessThatHoldsADevice() throws {
        let terminal = try RawTerminal.makePair()
        defer { try? terminal.master.close() }
        // Others may have it by the same name in namespaces of their own.
        func holders() -> [DeviceHolder] {
            DeviceHolder.holders(of: terminal.device).filter { $0.processID == getpid() }
        }
        #expect(holders().isEmpty)
        let device = try openDescriptor(terminal.device, .readWrite)
        defer { try? device.close() }
        #expect(try #require(holders().first).name.isEmpty == false)
    }
}
