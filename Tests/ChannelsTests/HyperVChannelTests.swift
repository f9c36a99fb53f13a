import FreezeCore
import LinuxCalls
import SystemPackage
import Testing

@testable import Channels

@Suite("The Hyper-V channel answers in time, over a real pty")
struct HyperVChannelTests {
    @Test func registersAndSaysThatTheDeviceIsAStandIn() throws {
        let host = try HyperVHostSimulator()
        let coordinator = ScriptedCoordinator()
        let channel = try coordinator.startChannel(host.devicePath)
        #expect(host.waitForRegistration(until: .now + patience))
        #expect(try coordinator.wait { $0.isRegistration ? $0 : nil } == .registered(isStandIn: true))
        #expect(host.events == [.registered(.register)])
        channel.stop()
    }

    @Test func answersEachOperationByteForByte() throws {
        let host = try HyperVHostSimulator()
        let coordinator = ScriptedCoordinator { event in
            if case .freeze = event { .failure } else { .success }
        }
        let channel = try coordinator.startChannel(host.devicePath)
        #expect(host.waitForRegistration(until: .now + patience))
        let success = try HyperVMessage([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        let failure = try HyperVMessage([0x05, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0])
        #expect(try host.perform(.hotBackup).outcome == .answered(success))
        #expect(try host.perform(.freeze).outcome == .answered(failure))
        #expect(try host.perform(.thaw).outcome == .answered(success))
        let operations = coordinator.events.filter { $0.operation != nil }
        let ids = operations.compactMap(\.operation)
        #expect(operations == [.hotBackup(ids[0]), .freeze(ids[1]), .thaw(ids[2])])
        #expect(Set(ids).count == 3)
        channel.stop()
    }

    @Test func answersAnUnknownOperationWithSuccessAndSaysSoOnce() throws {
        let host = try HyperVHostSimulator()
        let coordinator = ScriptedCoordinator()
        let channel = try coordinator.startChannel(host.devicePath)
        #expect(host.waitForRegistration(until: .now + patience))
        for code: UInt8 in [9, 9, 200, 9] {
            #expect(try host.perform(HyperVOperation(rawValue: code)).status == .success)
        }
        channel.stop()
        #expect(channel.waitUntilEnded(.now + patience))
        let warnings = coordinator.notes.filter { $0.level == .warning }.map(\.message)
        #expect(warnings.count == 2)
        #expect(warnings.first?.contains("unknown operation 9;") == true)
        #expect(coordinator.events.allSatisfy { $0.operation == nil })
    }

    @Test(arguments: [1, 3, 4, 11])
    func putsASplitMessageTogether(split: Int) throws {
        let host = try HyperVHostSimulator()
        let coordinator = ScriptedCoordinator { _ in .success }
        let channel = try coordinator.startChannel(host.devicePath)
        #expect(host.waitForRegistration(until: .now + patience))
        let bytes = HyperVMessage(operation: .freeze).bytes
        try host.send(Array(bytes[..<split]))
        try host.send(Array(bytes[split...]))
        _ = try coordinator.wait(\.operation)
        // The simulator asked nothing by itself, so it finds the answer unexpected.
        #expect(host.waitForEvents(2, until: .now + patience))
        #expect(host.events.last == .unexpected(HyperVMessage(operation: .freeze).answered(with: .success)))
        channel.stop()
    }

    @Test func writesTheAnswerGivenBeforeStop() throws {
        let host = try HyperVHostSimulator()
        let coordinator = ScriptedCoordinator()
        let channel = try coordinator.startChannel(host.devicePath)
        #expect(host.waitForRegistration(until: .now + patience))
        try host.send(HyperVMessage(operation: .thaw).bytes)
        channel.answer(try coordinator.wait(\.operation), .failure)
        channel.stop()
        #expect(host.waitForEvents(3, until: .now + patience))
        let answer = HyperVMessage(operation: .thaw).answered(with: .failure)
        #expect(host.events == [.registered(.register), .unexpected(answer), .departed])
    }

    @Test func dropsAnAnswerThatNobodyWaitsFor() throws {
        let host = try HyperVHostSimulator()
        let coordinator = ScriptedCoordinator { _ in .success }
        let channel = try coordinator.startChannel(host.devicePath)
        #expect(host.waitForRegistration(until: .now + patience))
        channel.answer(.next(), .failure)
        #expect(try host.perform(.thaw).status == .success)
        channel.answer(try coordinator.wait(\.operation), .failure)
        #expect(try host.perform(.freeze).status == .success)
        #expect(host.events.count == 3)
        channel.stop()
    }
}

@Suite("The Hyper-V channel answers not at all when it is too late")
struct HyperVChannelLossTests {
    @Test func anOperationTooOldIsLostAndItsLateAnswerIsNotWritten() throws {
        let host = try HyperVHostSimulator()
        let coordinator = ScriptedCoordinator()
        var limits = HyperVChannelLimits.quick
        limits.otherAge = .milliseconds(30)
        let channel = try coordinator.startChannel(host.devicePath, limits: limits)
        #expect(host.waitForRegistration(until: .now + patience))
        let answer = try host.perform(.thaw)
        #expect(answer.outcome == .departed)
        #expect(answer.duration >= .milliseconds(30))
        #expect(try coordinator.wait(\.lossReason).contains("THAW is older than"))
        channel.answer(try coordinator.wait(\.operation), .success)
        channel.reopen()
        #expect(host.waitForRegistration(number: 2, until: .now + patience))
        #expect(host.events == [.registered(.register), .departed, .registered(.register)])
        channel.stop()
    }

    @Test func `P2 an answer that is true no more is not written`() throws {
        let host = try HyperVHostSimulator()
        let coordinator = ScriptedCoordinator(answeringBefore: .now) { _ in .success }
        let channel = try coordinator.startChannel(host.devicePath)
        #expect(host.waitForRegistration(until: .now + patience))
        #expect(try host.perform(.freeze).outcome == .departed)
        #expect(try coordinator.wait(\.lossReason).contains("true no more"))
        channel.stop()
    }

    @Test("An answer that comes at once after the age limit is not written", arguments: [true, false])
    func lateAnswerIsNotWritten(isFreeze: Bool) throws {
        let host = try HyperVHostSimulator()
        var limits = HyperVChannelLimits.quick
        limits.freezeAge = .milliseconds(isFreeze ? 20 : 100_000)
        limits.otherAge = .milliseconds(isFreeze ? 100_000 : 20)
        let coordinator = ScriptedCoordinator { _ in
            // Holds the channel's thread, so that it finds the answer and the passed limit together.
            let late = Moment.now + .milliseconds(20)
            while .now < late {}
            return .success
        }
        let channel = try coordinator.startChannel(host.devicePath, limits: limits)
        #expect(host.waitForRegistration(until: .now + patience))
        #expect(try host.perform(isFreeze ? .freeze : .thaw).outcome == .departed)
        #expect(try coordinator.wait(\.lossReason).contains("too late"))
        #expect(host.events == [.registered(.register), .departed])
        channel.stop()
    }

    @Test("A new message before the answer", arguments: [true, false])
    func newMessageBeforeTheAnswerMeansNothingIsWritten(isMerged: Bool) throws {
        let host = try HyperVHostSimulator()
        let isSent = ThreadSemaphore()
        let coordinator = ScriptedCoordinator { _ in
            isSent.wait()
            return .success
        }
        let channel = try coordinator.startChannel(host.devicePath)
        #expect(host.waitForRegistration(until: .now + patience))
        let (freeze, thaw) = (HyperVMessage(operation: .freeze).bytes, HyperVMessage(operation: .thaw).bytes)
        if isMerged {
            try host.send(freeze + thaw)
        } else {
            try host.send(freeze)
            _ = try coordinator.wait(\.operation)
            try host.send(thaw)
        }
        isSent.signal()
        #expect(try coordinator.wait(\.lossReason).contains("a new message came before FREEZE was answered"))
        #expect(host.waitForEvents(2, until: .now + patience))
        #expect(host.events == [.registered(.register), .departed])
        // What came too early is forgotten with the device, as in the driver.
        channel.reopen()
        #expect(host.waitForRegistration(number: 2, until: .now + patience))
        isSent.signal()
        #expect(try host.perform(.hotBackup).status == .success)
        #expect(coordinator.events.compactMap(\.operation).count == 2)
        channel.stop()
    }

    @Test func aNewMessageWhileNobodyAnswersIsALoss() throws {
        let host = try HyperVHostSimulator()
        let coordinator = ScriptedCoordinator()
        let channel = try coordinator.startChannel(host.devicePath)
        #expect(host.waitForRegistration(until: .now + patience))
        try host.send(HyperVMessage(operation: .freeze).bytes)
        _ = try coordinator.wait(\.operation)
        try host.send(HyperVMessage(operation: .hotBackup).bytes)
        #expect(try coordinator.wait(\.lossReason).contains("before FREEZE was answered"))
        channel.stop()
    }

    @Test func anUnfinishedMessageIsMalformed() throws {
        let host = try HyperVHostSimulator()
        let coordinator = ScriptedCoordinator()
        var limits = HyperVChannelLimits.quick
        limits.partialMessage = .milliseconds(30)
        let channel = try coordinator.startChannel(host.devicePath, limits: limits)
        #expect(host.waitForRegistration(until: .now + patience))
        try host.send([5, 0, 0, 0, 0])
        #expect(try coordinator.wait(\.lossReason).contains("did not finish it"))
        #expect(coordinator.notes.last?.level == .warning)
        #expect(coordinator.events.allSatisfy { $0.operation == nil })
        channel.stop()
    }

    @Test func aHangUpIsALossAndTheDeviceIsUsedAgainWhenItComesBack() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path.appending("hv_vss")
        let host = try HyperVHostSimulator(at: path)
        let coordinator = ScriptedCoordinator { _ in .success }
        let channel = try coordinator.startChannel(path)
        // Not only what the host has seen: before the reply is read there is nothing to lose.
        _ = try coordinator.wait { $0.isRegistration ? true : nil }
        host.hangUp()
        let reason = try coordinator.wait(\.lossReason)
        #expect(reason.contains(path.string))
        channel.reopen()
        #expect(try coordinator.wait(number: 2) { $0.note?.message }.contains("there is no such device"))
        let successor = try HyperVHostSimulator(at: path)
        #expect(successor.waitForRegistration(until: .now + patience))
        #expect(try successor.perform(.freeze).status == .success)
        channel.stop()
    }

    @Test("P7: after a loss the device is opened only when reopen() allows it")
    func opensOnlyAfterReopen() throws {
        let host = try HyperVHostSimulator()
        let coordinator = ScriptedCoordinator()
        let opening = CountingOpening()
        let channel = try coordinator.startChannel(host.devicePath, opening: opening)
        #expect(host.waitForRegistration(until: .now + patience))
        try host.send(HyperVMessage(operation: .freeze).bytes + HyperVMessage(operation: .thaw).bytes)
        _ = try coordinator.wait(\.lossReason)
        // Many times the longest pause.
        #expect(!host.waitForRegistration(number: 2, until: .now + .milliseconds(200)))
        #expect(opening.attempts.count == 1)
        channel.reopen()
        #expect(host.waitForRegistration(number: 2, until: .now + patience))
        channel.stop()
    }

    @Test("P7: while opening is held, not even the first attempt is made")
    func opensNothingWhileHeld() throws {
        let opening = CountingOpening(failures: Array(repeating: .noSuchFileOrDirectory, count: 1_000_000))
        let coordinator = ScriptedCoordinator()
        let channel = try coordinator.startChannel("/dev/vmbus/hv_vss", opening: opening)
        #expect(opening.waitForAttempts(3))
        channel.holdOpening()
        // One attempt may have been under way.
        _ = opening.waitForAttempts(opening.attempts.count + 1, atMost: .milliseconds(100))
        let count = opening.attempts.count
        #expect(!opening.waitForAttempts(count + 1, atMost: .milliseconds(200)))
        channel.reopen()
        #expect(opening.waitForAttempts(count + 1))
        channel.stop()
    }
}
