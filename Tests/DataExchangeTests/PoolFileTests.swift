import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage
import Testing

@testable import DataExchange

@Suite(.needsRoot(toTest: "the pool of data exchange"))
struct PoolFileTests {
    private let facts = [PoolFact("quiesce.summary", "{}"), PoolFact("quiesce.state", "ok")]

    private func problem(_ pool: ScratchPool, cancelled: Bool = false) -> PoolProblem? {
        do throws(PoolProblem) {
            return try pool.file().update(facts) { cancelled }.first
        } catch {
            return error
        }
    }

    @Test func `the facts are in the file, beside the records of others`() throws {
        let others = foreign("CLOUD_INIT|1", "x") + foreign("b", "y")
        let pool = try ScratchPool(others)
        #expect(problem(pool) == nil)
        #expect(try pool.bytes == others + foreign("quiesce.summary", "{}") + foreign("quiesce.state", "ok"))
        #expect(problem(pool) == nil)
        #expect(try pool.items.map(\.key) == ["CLOUD_INIT|1", "b", "quiesce.summary", "quiesce.state"])
    }

    @Test func `a hostile file is a problem, and stays as it is`() throws {
        let missing = try ScratchPool(nil)
        #expect(problem(missing) == .missing)
        #expect(mkfifo(missing.path.string, 0o644) == 0)
        #expect(problem(missing) == .notRegular)
        let directory = try ScratchPool(nil)
        #expect(mkdir(directory.path.string, 0o755) == 0)
        #expect(problem(directory) == .notRegular)
        let link = try ScratchPool(nil)
        let target = try ScratchPool()
        #expect(symlink(target.path.string, link.path.string) == 0)
        #expect(problem(link) == .notRegular)
        #expect(try target.bytes == [])
        let others = try ScratchPool()
        #expect(chown(others.path.string, 1000, 0) == 0)
        guard case .untrusted(let error) = problem(others) else { return #expect(Bool(false), "it is used") }
        #expect(error.finding == .notOwnedByRoot(owner: 1000))
        let open = try ScratchPool()
        #expect(chmod(open.directory.string, 0o777) == 0)
        guard case .untrusted = problem(open) else { return #expect(Bool(false), "its directory is trusted") }
        #expect(try open.bytes == [])
    }

    @Test func `a huge file is not read`() throws {
        let pool = try ScratchPool()
        let size = PoolFile.readLimit + 1
        #expect(truncate(pool.path.string, size) == 0)
        #expect(problem(pool) == .tooLarge)
        #expect(truncate(pool.path.string, 1 << 40) == 0)
        #expect(problem(pool) == .tooLarge)
        #expect(truncate(pool.path.string, size - 1) == 0)
        guard case .incomplete = problem(pool) else { return #expect(Bool(false), "a full pool is not read") }
    }

    /// Another process holds the lock: locks of this process do not conflict.
    @Test(arguments: ["flock", "lockf"])
    func `a lock of another program is waited for, and not for ever`(lock: String) throws {
        let pool = try ScratchPool()
        let holder = try LockHolder(lock, pool.path)
        let began = Moment.now
        #expect(problem(pool) == .locked)
        #expect(Moment.now - began >= .milliseconds(100))
        #expect(try pool.bytes == [])
        // quiesce holds neither lock, so that other programs do not wait.
        #expect(try LockHolder.isFree(lock == "flock" ? "lockf" : "flock", pool.path))
        holder.release()
        #expect(problem(pool) == nil)
        for lock in ["flock", "lockf"] { #expect(try LockHolder.isFree(lock, pool.path)) }
    }

    @Test func `both locks are held while the file is written`() throws {
        let pool = try ScratchPool()
        let descriptor = try openDescriptor(pool.path, .readWrite)
        defer { try? descriptor.close() }
        #expect(try FileLock.tryLock(descriptor))
        // A close of any descriptor of the file releases POSIX locks (fcntl(2)), and not the locks of FileLock.
        try openDescriptor(pool.path, .readOnly).close()
        for lock in ["flock", "lockf"] { #expect(try !LockHolder.isFree(lock, pool.path)) }
    }

    @Test func `P7 a cancelled publication opens and writes nothing`() throws {
        let pool = try ScratchPool()
        #expect(problem(pool, cancelled: true) == .cancelled)
        #expect(try pool.bytes == [])
        // Also during the wait for a lock.
        let holder = try LockHolder("flock", pool.path)
        var asked = 0
        do throws(PoolProblem) {
            _ = try PoolFile(path: pool.path, lockLimit: .seconds(60)).update(facts) {
                asked += 1
                return asked > 3
            }
        } catch {
            #expect(error == .cancelled)
        }
        #expect(asked == 4)
        holder.release()
        // Before each write.
        asked = 0
        do throws(PoolProblem) {
            _ = try pool.file().update(facts) {
                asked += 1
                return asked > 1
            }
        } catch {
            #expect(error == .cancelled)
        }
        #expect(try pool.bytes == [])
    }

    /// Runs cloud-init's class if installed, otherwise the same calls: flock(2), and appends in parts of records.
    @Test func `beside a program that appends with flock no record is lost`() throws {
        let pool = try ScratchPool()
        let rounds = 60
        let writer = try ChildProgram(
            """
            import fcntl, struct, sys, time
            try:
                from cloudinit.reporting import events, handlers
                cloud_init = handlers.HyperVKvpReportingHandler(kvp_file_path=sys.argv[1])
            except ImportError:
                cloud_init = None
            for round in range(\(rounds)):
                names = ["%d|%d" % (round, part) for part in range(5)]
                if cloud_init:
                    for name in names:
                        cloud_init.publish_event(events.ReportingEvent("start", name, "value"))
                    cloud_init.flush()
                else:
                    with open(sys.argv[1], "ab") as pool:
                        fcntl.flock(pool, fcntl.LOCK_EX)
                        for name in names:
                            pool.write(struct.pack("512s2048s", b"CLOUD_INIT|" + name.encode(), b"value"))
                        pool.flush()
                        fcntl.flock(pool, fcntl.LOCK_UN)
                time.sleep(0.002)
            """, pool.path)
        var published = 0
        while writer.isRunning, published < 100_000 {
            let facts = [PoolFact("quiesce.state", "\(published)"), PoolFact("quiesce.summary", "{}")]
            _ = try pool.file(waiting: .seconds(5)).update(facts) { false }
            published += 1
            // Without a pause between two locks, other programs would starve.
            usleep(1000)
        }
        #expect(writer.wait() == 0)
        let items = try pool.items
        #expect(published > 3)
        #expect(items.filter { $0.key.hasPrefix("CLOUD_INIT|") }.count == rounds * 5)
        #expect(items.count == rounds * 5 + 2)
        #expect(try pool.value("quiesce.state") == "\(published - 1)")
    }

    /// cloud-init empties the pool once after a boot.
    @Test func `after the pool was emptied the facts are appended again`() throws {
        let pool = try ScratchPool()
        #expect(problem(pool) == nil)
        try pool.fill([])
        #expect(problem(pool) == nil)
        #expect(try pool.items.map(\.key) == ["quiesce.summary", "quiesce.state"])
    }
}
