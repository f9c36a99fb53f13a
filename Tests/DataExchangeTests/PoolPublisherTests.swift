import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage
import Testing

@testable import DataExchange

@Suite(.needsRoot(toTest: "the publisher of the state"))
struct PoolPublisherTests {
    private let report = StateReport(
        requests: RecentRequests(), attention: [], daemon: .running, time: WallTime(milliseconds: 0))

    private func publisher(
        _ pool: ScratchPool, isRequired: Bool = true, on platform: HostPlatform = .hyperV
    ) -> PoolPublisher {
        PoolPublisher(pool.file(), isRequired: isRequired) { platform }
    }

    @Test func `state and summary are in the pool, with the id of this boot`() throws {
        let pool = try ScratchPool()
        let result = publisher(pool).publish(report) { false }
        #expect(result == PublicationResult(isDone: true))
        #expect(try pool.value("quiesce.state") == "attention")
        let boot = String(decoding: try readWholeFile("/proc/sys/kernel/random/boot_id").dropLast(), as: UTF8.self)
        #expect(try pool.value("quiesce.summary")?.contains("\"boot_id\":\"\(boot)\"") == true)
    }

    @Test func `each problem is logged once, and again after it has ended`() throws {
        let pool = try ScratchPool(nil)
        let publisher = publisher(pool)
        let first = publisher.publish(report) { false }
        #expect(!first.isDone && first.notes.count == 1)
        #expect(first.notes.first?.message.contains("there is no such pool. Enable Data Exchange") == true)
        #expect(publisher.publish(report) { false } == PublicationResult(isDone: false))
        try pool.fill(foreign("a", "b").map { $0 == 0 ? 0x41 : $0 })
        let endless = publisher.publish(report) { false }
        #expect(endless.isDone && endless.notes.count == 1)
        #expect(endless.notes.first?.message.contains("record 0 is without a zero byte") == true)
        #expect(publisher.publish(report) { false } == PublicationResult(isDone: true))
        #expect(unlink(pool.path.string) == 0)
        #expect(publisher.publish(report) { false }.notes == first.notes)
    }

    @Test func `a missing pool is no news unless the pool is required`() throws {
        let pool = try ScratchPool(nil)
        #expect(
            publisher(pool, isRequired: false).publish(report) { false } == PublicationResult(isDone: false))
    }

    @Test func `a cancelled publication is no news`() throws {
        #expect(try publisher(ScratchPool()).publish(report) { true } == PublicationResult(isDone: false))
    }

    @Test(arguments: [HostPlatform.kvm, .kubeVirt, .other])
    func `only a Hyper-V host is told, unless the pool is required`(platform: HostPlatform) throws {
        let pool = try ScratchPool()
        let result = publisher(pool, isRequired: false, on: platform).publish(report) { false }
        #expect(result == PublicationResult(isDone: true))
        #expect(try pool.bytes == [])
        #expect(publisher(pool, on: platform).publish(report) { false }.isDone)
        #expect(try pool.value("quiesce.state") == "attention")
    }
}
