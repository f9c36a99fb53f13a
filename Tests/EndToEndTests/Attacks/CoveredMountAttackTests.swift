import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// A user mounts FUSE filesystems whose server never answers over a filesystem of the machine: over the root
/// directory, owned by the user, or over a directory on the way to the mount point.
extension EndToEnd {
    @Suite struct CoveredMountAttackTests {
        enum Place: String, CaseIterable, CustomTestStringConvertible {
            case root = "over the filesystem's root"
            case way = "over a directory on the way"
            var testDescription: String { rawValue }
        }

        /// Mounts on top of each other.
        private static let covers = 3

        private let filesystem: UnheldFilesystem

        init() throws {
            filesystem = try UnheldFilesystem("users/home")
        }

        private func mount() throws -> Holder {
            try RunningProgram.output(of: "sh", ["-c", filesystem.mountCommand])
            return try Holder(filesystem.mountPoint)
        }

        private func place(_ place: Place) -> String {
            (place == .root ? filesystem.mountPoint : filesystem.mountPoint.removingLastComponent()).string
        }

        private func cover(_ place: Place) throws -> RunningProgram {
            try SilentMount.make(.fuse, on: self.place(place), count: Self.covers)
        }

        private func uncover(_ place: Place, _ attacker: RunningProgram) throws {
            try attacker.closeInput()
            try attacker.waitForExit()
            for _ in 0..<Self.covers { try RunningProgram.output(of: "umount", ["--lazy", self.place(place)]) }
        }

        private func remove(_ holder: Holder, _ rig: DaemonRig) throws {
            try rig.waitUntilReleased()
            try holder.end()
            try RunningProgram.output(of: "umount", [filesystem.mountPoint.string])
            try filesystem.remove()
        }

        @Test(arguments: Place.allCases)
        func `P2 a user's mounts over a filesystem prevent no backup`(place: Place) throws {
            let holder = try mount()
            let attacker = try cover(place)
            let rig = try DaemonRig(hooks: ["10-list": "echo \"$1 $QUIESCE_MOUNTPOINTS\" >> $TRACE"])
            let answer = try rig.freeze()
            #expect(answer.status == .success, "\(rig.log)")
            #expect(answer.duration < .seconds(5))
            #expect(try FreezeProof.isFrozen(holder.path))
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            #expect(try !FreezeProof.isFrozen(holder.path))
            let record = try rig.record()
            #expect(record.level == .application)
            let entry = record.filesystems.first { $0.mountPoint == filesystem.mountPoint }
            #expect(entry?.freeze != nil && entry?.thaw != nil)
            #expect(entry?.reason.hasSuffix("; reached below the mount that covers it") == true)
            // The covered path would lead a hook into the user's mount.
            try rig.waitForTrace("thaw /")
            #expect(try rig.traced() == ["freeze /", "thaw /"])
            try rig.waitUntilReleased()
            try uncover(place, attacker)
            try remove(holder, rig)
        }

        @Test(arguments: Place.allCases, ["recover", "the next start"])
        func `P1 a filesystem that a user covers in the window is thawed after a crash`(place: Place, way: String)
            throws
        {
            let holder = try mount()
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            let attacker = try cover(place)
            try rig.killBoth()
            #expect(try FreezeProof.isFrozen(holder.path))
            if way == "recover" {
                let recovery = try rig.control("recover")
                #expect(recovery.ending == .exited(0), "\(recovery.output) \(recovery.errors)")
                #expect(recovery.output.contains("  \(filesystem.mountPoint): thawed\n"), "\(recovery.output)")
            } else {
                try rig.start()
            }
            #expect(try !FreezeProof.isFrozen(holder.path))
            #expect(try !FreezeProof.isFrozen("/"))
            if way == "recover" { try rig.start() }
            _ = try rig.thaw()
            try uncover(place, attacker)
            try remove(holder, rig)
        }

        @Test func `P1 P2 a container that covers its own filesystem prevents no backup and no thaw`() throws {
            let container = try ScratchContainer(filesystem.mountCommand)
            let enter = ["nsenter", "--target", "\(container.processID)", "--mount"]
            let holder = try Holder(filesystem.mountPoint, by: enter)
            let attacker = try SilentMount.make(
                .fuse, on: filesystem.mountPoint.string, count: Self.covers, by: enter)
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try FreezeProof.isFrozen(holder.path))
            try rig.killBoth()
            let recovery = try rig.control("recover")
            #expect(recovery.output.contains("  \(filesystem.mountPoint): thawed\n"), "\(recovery)")
            #expect(try !FreezeProof.isFrozen(holder.path))
            try rig.start()
            _ = try rig.thaw()
            try attacker.closeInput()
            try attacker.waitForExit()
            try holder.end()
            try container.end()
            try filesystem.remove()
        }

        /// Mounts made by root are locked there: no process may detach the cover and leave the filesystem
        /// (mount_namespaces(7)).
        @Test
        func `P1 P2 a container with a user namespace that covers its filesystem fails a freeze, and no thaw`()
            throws
        {
            let container = try ScratchContainer(filesystem.mountCommand)
            let place = filesystem.mountPoint
            let script = "cd \(place); echo there; read line; mount -t tmpfs none \(place); echo covered; exec cat"
            let user = try RunningProgram(
                "nsenter",
                ["--target", "\(container.processID)", "--mount"]
                    + ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", script])
            try user.waitForLine(in: .output) { $0 == "there" }
            try container.end()
            let inside = FilePath("/proc/\(user.processIdentifier)/cwd")
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try FreezeProof.isFrozen(inside))
            try user.write("cover\n")
            try user.waitForLine(in: .output) { $0 == "covered" }
            try rig.killBoth()
            let recovery = try rig.control("recover")
            #expect(recovery.output.contains("  \(place): thawed\n"), "\(recovery)")
            #expect(try !FreezeProof.isFrozen(inside))

            try rig.start()
            _ = try rig.thaw()
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            // The first record is that of the request whose daemon was killed.
            let reason = try rig.record(number: 2).reason ?? ""
            #expect(reason.hasPrefix("\(place) in the mount namespace of process"), "\(reason)")
            #expect(reason.contains("the mounts that cover it cannot be detached"), "\(reason)")
            try rig.waitUntilReleased()
            user.send(SIGKILL)
            try user.waitForExit()
            try filesystem.remove()
            try rig.expectHealthy(freezing: [])
        }
    }
}

/// A process with a mount point as working directory. Later mounts do not change the directory.
private final class Holder {
    private let program: RunningProgram

    init(_ mountPoint: FilePath, by program: [String] = []) throws {
        let command = program + ["sh", "-c", "cd \(mountPoint) && echo there && exec sleep 1000"]
        self.program = try RunningProgram(FilePath(command[0]), Array(command.dropFirst()))
        try self.program.waitForLine(in: .output) { $0 == "there" }
    }

    var path: FilePath { FilePath("/proc/\(program.processIdentifier)/cwd") }

    func end() throws {
        program.send(SIGKILL)
        try program.waitForExit()
    }
}
