import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import LinuxSystem

/// Mount namespaces of processes in a chroot, which see a part of their mounts only. Real ones; nothing is frozen.
extension RealMountNamespaceTests {
    private static let policy = PlanPolicy(include: [.label("jailed")])

    /// Directories that a program can run in.
    private static let jails = """
        for jail in one two; do
            mkdir $jail
            for name in bin lib lib64 usr; do
                [ ! -e /$name ] || { mkdir $jail/$name; mount --rbind /$name $jail/$name; }
            done
        done
        """

    /// Runs the test with a container whose first process ends up in a chroot, and a disk.
    ///
    /// - Parameters:
    ///   - directory: where the container mounts the disk.
    ///   - others: a script that starts more processes.
    private static func run(
        diskOn directory: String, others: String = "",
        _ body: @escaping @Sendable (PrivateNamespace, pid_t) throws -> Void
    ) throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell("truncate -s 16M disk.img; mkfs.ext4 -q -L jailed disk.img")
            let process = try namespace.container(
                """
                \(jails)
                mkdir \(directory); mount -o loop disk.img \(directory)
                \(others)
                echo > \(namespace.root)/ready; exec chroot one sleep 1000
                """)
            try body(namespace, process)
        }
    }

    /// Checks that the disk is in the plan and can be opened.
    private static func expectDisk(at mountPoint: FilePath) throws -> MountNamespace? {
        let tables = try MountTables(.all)
        defer { tables.close() }
        // The machine that tests may have others that cannot be looked at.
        #expect(!tables.unseen.contains { $0.contains("only a part is seen") })
        let plan = Result { try FreezePlan.make(from: try StorageInventory.survey(tables), policy: policy) }
        let disk = try #require(
            try? plan.get().filesystems(.freeze).first, "\(plan); not seen: \(tables.unseen)")
        #expect(disk.mountPoint == mountPoint)
        let targets = try TargetOpener(tables).open(try plan.get())
        defer { TargetOpener.close(targets) }
        #expect(try targets.map { try MountPointOpening.mountID(of: $0.descriptor) } == [disk.mount.mountID])
        return disk.mount.namespace
    }

    @Test func aDiskOutsideOfTheOnlyChrootIsFound() throws {
        try Self.run(diskOn: "disk") { namespace, process in
            let seen = try Self.expectDisk(at: namespace.root.appending("disk"))
            #expect(seen?.processID == process)
        }
    }

    @Test func aDiskThatOnlyTheSecondChrootSeesIsFound() throws {
        let second = "chroot two sleep 1000 &"
        try Self.run(diskOn: "two/disk", others: second) { namespace, _ in
            _ = try Self.expectDisk(at: namespace.root.appending("two/disk"))
        }
    }

    @Test func aProcessOutsideIsFoundBehindManyInAChroot() throws {
        let others = """
            for number in 1 2 3 4 5 6 7 8 9; do chroot one sleep 1000 & done
            sleep 1000 & echo $! > outside
            """
        try Self.run(diskOn: "disk", others: others) { namespace, _ in
            let outside = SmallFile.text(namespace.root.appending("outside")).flatMap { pid_t($0) }
            let seen = try Self.expectDisk(at: namespace.root.appending("disk"))
            #expect(seen?.processID == outside)
        }
    }

    /// As with a filesystem that was unmounted lazily while a process had its root there: it sees no mount at all.
    @Test func aRootThatIsMountedNowhereIsNoRootOfTheNamespace() throws {
        let others = "mount --rbind one one"
        try Self.run(diskOn: "disk", others: others) { namespace, process in
            try namespace.shell("nsenter --target \(process) --mount umount -l \(namespace.root)/one")
            let seen = try Self.expectDisk(at: namespace.root.appending("disk"))
            #expect(seen?.processID == process)
        }
    }
}
