import Glibc
import SystemPackage
import Testing

@testable import LinuxCalls

/// Telling "there is no such process" from "that cannot be told".
@Suite struct ProcessRecordTests {
    @Test func thisProcessIsFound() throws {
        let record = try #require(try ProcessRecord.read(getpid()))
        #expect(record.isAlive && record.group == getpgrp())
        let identity = try #require(try ProcessIdentity.lookUp(getpid()))
        #expect(identity == .current && identity.startTicks == record.startTicks)
        #expect(try ProcessHandle.open(identity)?.hasEnded == false)
    }

    @Test(arguments: [0, -1, pid_t.max]) func nobodyIsNil(process: pid_t) throws {
        #expect(try ProcessRecord.read(process) == nil)
        #expect(try ProcessIdentity.lookUp(process) == nil)
        #expect(try ProcessHandle.open(ProcessIdentity(processID: process, startTicks: 1)) == nil)
    }

    @Test func anotherLifeOfTheSameIdIsNil() throws {
        #expect(try ProcessHandle.open(ProcessIdentity(processID: getpid(), startTicks: 1)) == nil)
    }

    @Test func aSmallFileHasALimit() throws {
        #expect(throws: Errno.fileTooLarge) { try readWholeFile("/proc/self/stat", limit: 10) }
        #expect(throws: Errno.noSuchFileOrDirectory) { try directoryEntries("/no/such") }
        #expect(throws: Errno.invalidArgument) { try readSymbolicLink("/proc") }
        #expect(try directoryEntries("/proc/self/task").map(\.string).contains("\(getpid())"))
    }

    @Test(arguments: [
        ("S", 0, false), ("D", 0, false), ("D", 1 << 8, true), ("D", 1 << 14, false), ("Z", 0, true),
        ("X", 0, true),
    ])
    func `P1 a thread counts as killed if it has ended or SIGKILL is pending for it`(
        state: String, pending: UInt64, isKilled: Bool
    ) {
        let status = """
            Name:\tState: Z
            State:\t\(state) (whatever)
            SigPnd:\t\(String(pending, radix: 16))
            ShdPnd:\t0000000000000100
            """
        #expect(ProcessThreads.isKilled(status: Array(status.utf8)) == isKilled)
    }

    @Test func `this process is not killed`() {
        #expect(!ProcessThreads.areKilled(in: getpid()))
    }
}
