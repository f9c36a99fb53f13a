import Channels
import Foundation
import FreezeCore
import History
import SystemPackage
import Testing

/// Live filesystems in no mount table: such filesystems cannot be frozen, and the result says so.
extension EndToEnd {
    @Suite struct UnreachableFilesystemTests {
        /// The way out of all mount tables.
        enum Way: String, CaseIterable, CustomTestStringConvertible {
            case lazily = "unmounted lazily, and a process works in it"
            case namespace = "mounted in a namespace without processes"
            var testDescription: String { rawValue }
        }

        /// Ends the use of a filesystem in no mount table.
        private typealias End = () throws -> Void

        /// - Returns: a function that ends the use.
        private func hide(_ filesystem: UnheldFilesystem, _ way: Way) throws -> End {
            let user: RunningProgram
            switch way {
            case .lazily:
                try RunningProgram.output(of: "sh", ["-c", filesystem.mountCommand])
                user = try process("cd \(filesystem.mountPoint)")
                try RunningProgram.output(of: "umount", ["--lazy", filesystem.mountPoint.string])
            case .namespace:
                let container = try ScratchContainer(filesystem.mountCommand)
                user = try process("exec 3</proc/\(container.processID)/ns/mnt")
                try container.end()
            }
            return {
                user.send(SIGKILL)
                try user.waitForExit()
            }
        }

        private func process(_ script: String) throws -> RunningProgram {
            let program = try RunningProgram("sh", ["-ec", "\(script); echo there; exec sleep 1000"])
            try program.waitForLine(in: .output) { $0 == "there" }
            return program
        }

        private static let kinds = [("ext4", 32), ("xfs", 320), ("btrfs", 256)]

        @Test(arguments: kinds, Way.allCases)
        func `P2 a filesystem in no mount table is named, and lowers the level to crash`(
            kind: (type: String, mebibytes: Int), way: Way
        ) throws {
            let filesystem = try UnheldFilesystem("hidden", type: kind.type, mebibytes: kind.mebibytes)
            let end = try hide(filesystem, way)
            let name = "\(kind.type) on \(filesystem.device)"
            let rig = try DaemonRig(hooks: ["10-hook": "true"])
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.level == .crash)
            #expect(record.reason == "in no mount table, so not frozen: \(name)")
            #expect(record.unreachable.map(\.source) == [filesystem.device.string])
            #expect(rig.log.contains("\(name) is in use and in no mount table"))
            try rig.waitUntilReleased()

            let show = try rig.control("show").output
            #expect(show.contains("In no mount table, so not frozen:\n  \(name)\n"), "\(show)")
            let plan = try words(rig.control("plan").output)
            #expect(plan.contains("Note: \(name) is in use and in no mount table"), "\(plan)")
            #expect(plan.contains("Crash-consistent at best, because of \(name)."), "\(plan)")
            let json = try rig.control("plan", "--json").output
            #expect(json.contains("\"source\" : \"\(filesystem.device)\""), "\(json)")
            let check = try words(rig.control("check").output)
            #expect(check.contains("\(name) is in use and in no mount table"), "\(check)")

            try end()
            try filesystem.remove()
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record(number: 2).level == .application)
            try rig.waitUntilReleased()
        }

        private func words(_ text: String) -> String {
            text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        }

        @Test(arguments: Way.allCases)
        func `P2 unreachable fail fails the request by name, and freezes nothing`(way: Way) throws {
            let filesystem = try UnheldFilesystem("hidden")
            let end = try hide(filesystem, way)
            let rig = try DaemonRig(configuration: ["filesystems": "unreachable = \"fail\""])
            #expect(try rig.freeze().status == .failure)
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            let reason = "ext4 on \(filesystem.device): is in use and in no mount table"
            #expect(record.reason?.hasPrefix(reason) == true, "\(record.reason ?? "")")
            #expect(record.window == nil)
            try rig.waitUntilReleased()
            try end()
            try filesystem.remove()
            try rig.expectHealthy(freezing: [])
        }

        static let policies = [
            "exclude = [\"DEVICE\"]", "include = [\"/\"]", "mount_namespaces = \"own\"",
        ]

        @Test(arguments: policies)
        func `a filesystem that the policy does not name lowers no level`(policy: String) throws {
            let filesystem = try UnheldFilesystem("hidden")
            let end = try hide(filesystem, .lazily)
            let lines = policy.replacing("DEVICE", with: filesystem.device.string)
            let rig = try DaemonRig(
                configuration: ["filesystems": "\(lines)\nunreachable = \"fail\""], hooks: ["10-hook": "true"])
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.level == .application && record.unreachable.isEmpty)
            try rig.waitUntilReleased()
            try end()
            try filesystem.remove()
        }

        @Test func `a filesystem that is just being unmounted lowers no level`() throws {
            let filesystem = try UnheldFilesystem("ends")
            let end = try hide(filesystem, .lazily)
            let rig = try DaemonRig(hooks: ["10-hook": "true"])
            let answer = PendingAnswer(.freeze, of: rig.host)
            let daemon = rig.daemon.processIdentifier
            try wait(for: "the first look") { try KernelWaits.isPausing(daemon, thread: "plan") }
            try end()
            #expect(try answer.value().status == .success, "\(rig.log)")
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.level == .application && record.unreachable.isEmpty)
            try rig.waitUntilReleased()
            try filesystem.remove()
        }

        @Test func `P2 a filesystem that a hook mounts and hides is found before the first freeze`() throws {
            let filesystem = try UnheldFilesystem("late")
            let rig = try DaemonRig()
            try rig.install(
                hook: "10-hide",
                """
                [ $1 = freeze ] || exit 0
                \(filesystem.mountCommand)
                sh -c 'cd \(filesystem.mountPoint); exec sleep 1000' </dev/null >/dev/null 2>&1 &
                echo $! > $TRACE.pid
                until [ "$(readlink /proc/$!/cwd)" = \(filesystem.mountPoint) ]; do sleep 0.01; done
                umount --lazy \(filesystem.mountPoint)
                """)
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try rig.thaw().status == .success)
            try rig.daemon.waitForLine {
                $0.contains("ext4 on \(filesystem.device) is in no mount table any more")
            }
            #expect(try rig.record().level == .crash)
            try rig.waitUntilReleased()
            try RunningProgram.output(of: "sh", ["-c", "kill -KILL $(cat \(rig.trace).pid)"])
            try filesystem.remove()
        }
    }
}
