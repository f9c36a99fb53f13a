import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import Channels

/// A daemon reduced to its system calls, so that it can also do what ours never does.
private struct RawDaemon {
    let descriptor: FileDescriptor

    init(_ device: FilePath) throws {
        descriptor = try openDescriptor(device, .readWrite)
    }

    func register() throws {
        try writeOnce(HyperVMessage.registration.bytes, to: descriptor)
        #expect(try read(4) == [129, 0, 0, 0])
    }

    func read(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            try #require(pollOne(descriptor, events: .readable, atMost: patience).contains(.readable))
            bytes += try readOnce(descriptor, atMost: count - bytes.count)
        }
        return bytes
    }

    func answer(_ operation: HyperVOperation, _ status: HyperVStatus) throws {
        try writeOnce(HyperVMessage(operation: operation).answered(with: status).bytes, to: descriptor)
    }

    func close() {
        try? descriptor.close()
    }
}

/// Runs something that blocks on a thread of its own, and gives its result when asked.
private final class Background<Value: Sendable>: Sendable {
    private let result = Monitor<Result<Value, any Error>?>(nil)

    init(_ body: @escaping @Sendable () throws -> Value) throws {
        try OperatingSystemThread.start("test") { [result] in
            let value = Result { try body() }
            result.update { $0 = value }
        }
    }

    func value() throws -> Value {
        try #require(result.wait(until: .now + patience) { $0 }).get()
    }
}

@Suite("The simulated host keeps the driver's rules (hv_snapshot.c)")
struct HyperVHostSimulatorTests {
    @Test func withoutADaemonEveryOperationFailsAtOnce() throws {
        let host = try HyperVHostSimulator()
        let answer = try host.perform(.freeze)
        #expect(answer.outcome == .notRegistered)
        #expect(answer.status == .failure)
    }

    @Test func aLateAnswerIsTakenForTheNextOperations() throws {
        let host = try HyperVHostSimulator()
        let daemon = try RawDaemon(host.devicePath)
        try daemon.register()
        let thaw = try host.perform(.thaw, timeout: .milliseconds(10))
        #expect(thaw.outcome == .timedOut)
        #expect(thaw.status == .failure)
        #expect(try daemon.read(12) == HyperVMessage(operation: .thaw).bytes)
        let freeze = try Background { try host.perform(.freeze) }
        #expect(try daemon.read(12) == HyperVMessage(operation: .freeze).bytes)
        try daemon.answer(.thaw, .success)
        #expect(try freeze.value().status == .success)
        daemon.close()
    }

    @Test func anAnswerWhenNothingIsAskedIsUnexpected() throws {
        let host = try HyperVHostSimulator()
        let daemon = try RawDaemon(host.devicePath)
        try daemon.register()
        #expect(try host.perform(.hotBackup, timeout: .milliseconds(10)).outcome == .timedOut)
        try daemon.answer(.hotBackup, .success)
        #expect(host.waitForEvents(3, until: .now + patience))
        let late = HyperVMessage(operation: .hotBackup).answered(with: .success)
        #expect(host.events == [.registered(.register), .timedOut(.hotBackup), .unexpected(late)])
        // It answered nothing: the next operation waits for an answer of its own.
        #expect(try host.perform(.thaw, timeout: .milliseconds(10)).outcome == .timedOut)
        daemon.close()
    }

    @Test func theTimeoutsAreThoseOfTheDriver() {
        #expect(HyperVHostLimits().timeout(of: .freeze) == .seconds(900))
        #expect(HyperVHostLimits().timeout(of: .thaw) == .seconds(30))
        #expect(HyperVHostLimits().timeout(of: .hotBackup) == .seconds(30))
    }

    @Test func aClosedDeviceFailsTheOutstandingOperation() throws {
        let host = try HyperVHostSimulator()
        let daemon = try RawDaemon(host.devicePath)
        try daemon.register()
        let freeze = try Background { try host.perform(.freeze) }
        _ = try daemon.read(12)
        daemon.close()
        #expect(try freeze.value().outcome == .departed)
        #expect(host.waitForDeparture(until: .now + patience))
        let next = try RawDaemon(host.devicePath)
        try next.register()
        #expect(host.waitForRegistration(number: 2, until: .now + patience))
        next.close()
    }

    @Test func theOldRegistrationIsNotRepliedTo() throws {
        let host = try HyperVHostSimulator()
        let daemon = try RawDaemon(host.devicePath)
        try writeOnce(HyperVMessage(operation: .oldRegister).bytes, to: daemon.descriptor)
        #expect(host.waitForRegistration(until: .now + patience))
        let freeze = try Background { try host.perform(.freeze) }
        // The first thing it can read is the operation.
        #expect(try daemon.read(12) == HyperVMessage(operation: .freeze).bytes)
        try daemon.answer(.freeze, .failure)
        #expect(try freeze.value().status == .failure)
        daemon.close()
    }

    @Test func hangingUpEndsTheOutstandingOperation() throws {
        let host = try HyperVHostSimulator()
        let daemon = try RawDaemon(host.devicePath)
        try daemon.register()
        let freeze = try Background { try host.perform(.freeze) }
        _ = try daemon.read(12)
        host.hangUp()
        #expect(try freeze.value().outcome == .departed)
        #expect(pollOne(daemon.descriptor, events: .readable, atMost: patience).contains(.hangUp))
        #expect(throws: ChannelError.self) { try host.send([1]) }
        daemon.close()
    }

    @Test func theLinkGoesWithItsOwnerAndReplacesOnlyWhatAnotherLeft() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path.appending("hv_vss")
        let first = try HyperVHostSimulator(at: path)
        let second = try HyperVHostSimulator(at: path)
        first.close()
        // It is the second one's by now.
        let daemon = try RawDaemon(path)
        try daemon.register()
        #expect(second.waitForRegistration(until: .now + patience))
        daemon.close()
        second.close()
        #expect(access(path.string, F_OK) != 0)
        #expect(symlink("/etc/passwd", path.string) == 0)
        #expect(throws: ChannelError.self) { try HyperVHostSimulator(at: path) }
    }
}
