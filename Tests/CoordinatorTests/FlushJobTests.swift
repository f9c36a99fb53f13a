import FreezeCore
import Glibc
import LinuxCalls
import Synchronization
import SystemPackage
import Testing

@testable import Coordinator
@testable import LinuxSystem

/// The flush of a plan with two filesystems in a pool of ZFS. A stand-in takes the place of zpool.
@Suite(.needsRoot(toTest: "a program that only root can change")) struct FlushJobTests {
    /// The results of a flush.
    private final class Report: Sendable {
        private let flushed = Mutex<[(device: DeviceNumber, error: Errno?)]>([])
        private let taken = Mutex<[String]>([])

        var results: [(device: DeviceNumber, error: Errno?)] { flushed.withLock { $0 } }
        var notes: [String] { taken.withLock { $0 } }

        func add(_ device: DeviceNumber, _ result: TimedResult) {
            flushed.withLock { $0.append((device, result.error)) }
        }

        func add(_ note: String) { taken.withLock { $0.append(note) } }

        /// Waits for a number of results.
        func has(_ count: Int, within limit: Duration = .seconds(30)) async throws -> Bool {
            let deadline = ContinuousClock.now + limit
            while results.count < count, ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(1))
            }
            return results.count >= count
        }
    }

    private func dataset(_ name: String, _ minor: UInt32) -> PlannedFilesystem {
        let device = DeviceNumber(major: 0, minor: minor)
        return PlannedFilesystem(
            device: device,
            mount: MountEntry(
                mountID: UInt64(minor), parentID: 0, device: device, root: "/", mountPoint: FilePath("/\(name)"),
                mountOptions: "rw", filesystemType: "zfs", source: name, superblockOptions: "rw"),
            action: .sync, reason: "")
    }

    private func flush(by program: FilePath, isWithdrawn: Bool = false) throws -> Report {
        let plan = FreezePlan(filesystems: [dataset("tank/data", 50), dataset("tank/logs", 51)])
        // A filesystem in memory, so that the flush writes nothing.
        let targets = try plan.filesystems.map {
            TargetOpener.Target(filesystem: $0, descriptor: try openDescriptor("/dev/shm", .readOnly))
        }
        let opened = OpenedRequest(
            policy: PlanPolicy(), plan: plan, freezes: true, hooks: [], targets: targets,
            mountTables: try MountTables(.own), unreachable: [])
        if isWithdrawn { opened.withdraw() }
        let report = Report()
        FlushJob.start(
            plan.filesystems, in: opened, zpool: program, flushed: { report.add($0, $1) },
            takeNote: { report.add($0) }
        )
        return report
    }

    @Test(arguments: [true, false])
    func `P2 the first filesystem of a pool is flushed once, when its pool is, and fails with the pool`(
        succeeds: Bool
    ) async throws {
        let report = try flush(by: succeeds ? "/usr/bin/true" : "/usr/bin/false")
        try #require(try await report.has(2))
        let results = report.results.sorted { $0.device < $1.device }
        #expect(results.map(\.device.minor) == [50, 51])
        #expect(results.map(\.error) == [succeeds ? nil : .ioError, nil])
        #expect(report.notes.count { $0.hasPrefix("/usr/bin/false sync tank: ") } == (succeeds ? 0 : 1))
    }

    @Test func `P7 the flush of a request that has ended starts no zpool`() async throws {
        let report = try flush(by: "/usr/bin/false", isWithdrawn: true)
        try #require(try await report.has(2))
        #expect(report.notes.isEmpty)
    }

    @Test func `P2 a filesystem that was not opened is reported as not flushed`() async throws {
        let plan = FreezePlan(filesystems: [dataset("tank/data", 50)])
        let opened = OpenedRequest(
            policy: PlanPolicy(), plan: plan, freezes: true, hooks: [], targets: [],
            mountTables: try MountTables(.own), unreachable: [])
        let report = Report()
        FlushJob.start(
            plan.filesystems, in: opened, flushed: { report.add($0, $1) }, takeNote: { report.add($0) })
        #expect(report.results.map(\.error) == [.badFileDescriptor])
    }

    @Test func `P9 while its pool hangs a filesystem is not flushed, so that the error has a name`() async throws {
        // Programs in /tmp are not trusted.
        var template = Array("/run/quiesce-flush-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let directory = FilePath(platformString: template)
        let (program, gate) = (directory.appending("zpool"), directory.appending("gate"))
        defer { for path in [program, gate, directory] { remove(path.string) } }
        let file = try openDescriptor(
            program, .writeOnly, options: .create, permissions: [.ownerReadWriteExecute])
        try writeAll(Array("#!/bin/sh\nwhile [ ! -e \(gate) ]; do sleep 0.01; done\n".utf8), to: file)
        try file.close()

        let report = try flush(by: program)
        try #require(try await report.has(1))
        #expect(try await !report.has(2, within: .milliseconds(300)))
        #expect(report.results.map(\.device.minor) == [51])
        try openDescriptor(gate, .writeOnly, options: .create, permissions: .ownerReadWrite).close()
        try #require(try await report.has(2))
        #expect(report.results.map(\.device.minor) == [51, 50] && report.results.map(\.error) == [nil, nil])
    }
}
