import Channels
import Foundation
import FreezeCore
import FreezerProtocol
import History
import LinuxCalls
import SystemPackage
import Testing

/// What recovery must not do: believe a ledger that is not quiesce's own, of another boot, or broken; and thaw what is
/// another filesystem by now (P5).
extension EndToEnd {
    @Suite struct LedgerFaultTests {
        /// Who recovers.
        enum Way: String, CaseIterable, CustomTestStringConvertible {
            case recover = "quiescectl recover"
            case start = "the daemon's start"
            var testDescription: String { rawValue }
        }

        private let filesystem: ScratchFilesystem
        private let rig: DaemonRig
        private var ledgerPath: FilePath { rig.runDirectory.appending("ledger") }

        init() throws {
            filesystem = try ScratchFilesystem(.ext4)
            rig = try DaemonRig(
                configuration: ["filesystems": "include = [\"\(filesystem.mountPoint)\"]"],
                hooks: ["10-trace": "echo \"$1 $QUIESCE_RESULT\" >> $TRACE"])
        }

        /// Kills both processes while the filesystem is frozen.
        private func crash() throws {
            #expect(try rig.freeze().status == .success)
            try rig.killBoth()
            #expect(try filesystem.isFrozen())
        }

        /// What `recover` says, or the daemon's log.
        private func recover(by way: Way, expecting status: CInt = 0) throws -> String {
            switch way {
            case .recover:
                let (ending, output, errors) = try rig.control("recover")
                #expect(ending == .exited(status), "\(output) \(errors)")
                return output + errors
            case .start:
                try rig.start()
                return rig.log
            }
        }

        private func end(_ way: Way, thawing other: FilePath? = nil) throws {
            try RunningProgram.output(of: "fsfreeze", ["--unfreeze", (other ?? filesystem.mountPoint).string])
            if way == .recover { try rig.start() }
            _ = try rig.thaw()
            try rig.expectAlive(freezing: other ?? filesystem.mountPoint)
            #expect(try rig.stop() == .exited(0))
            #expect(!FileManager.default.fileExists(atPath: ledgerPath.string))
            try filesystem.remove()
        }

        // MARK: Which ledger

        @Test(arguments: Way.allCases)
        func `P5 a ledger of an earlier boot thaws nothing and calls no hook`(way: Way) throws {
            try crash()
            var bytes = try Data(contentsOf: URL(fileURLWithPath: ledgerPath.string))
            let boot = try RunDirectory(rig.runDirectory, creating: false).bootID
            let place = try #require(bytes.firstRange(of: Data(boot.utf8)))
            bytes[place.lowerBound] = bytes[place.lowerBound] == 0x61 ? 0x62 : 0x61
            try bytes.write(to: URL(fileURLWithPath: ledgerPath.string))
            let said = try recover(by: way)
            #expect(way == .start || said.hasPrefix("Nothing to recover"), "\(said)")
            #expect(try filesystem.isFrozen())
            #expect(!FileManager.default.fileExists(atPath: ledgerPath.string))
            #expect(try rig.traced() == ["freeze "])
            try end(way)
        }

        enum Guard: String, CaseIterable, CustomTestStringConvertible {
            case freezer = "the freezer, at THAW"
            case freezerAlone = "the freezer, after the daemon's death"
            case daemon = "the daemon, after the freezer's death"
            var testDescription: String { rawValue }
        }

        @Test(arguments: Guard.allCases, [0, 0xFF] as [UInt8])
        func `P1 a ledger that was overwritten in the window keeps no living guard from the thaw`(
            thawer: Guard, byte: UInt8
        ) throws {
            #expect(try rig.freeze().status == .success)
            let freezer = try CrashScene.freezer(rig)
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: ledgerPath.string))
            let size = try file.seekToEnd()
            try file.seek(toOffset: 0)
            try file.write(contentsOf: Data(repeating: byte, count: Int(size)))
            try file.close()
            switch thawer {
            case .freezer:
                #expect(try rig.thaw().status == .success)
            case .freezerAlone:
                rig.daemon.send(SIGKILL)
                #expect(freezer.waitForEnd(atMost: .seconds(5)))
                #expect(try rig.daemon.waitForExit() == .killed(signal: SIGKILL))
            case .daemon:
                try freezer.send(signal: SIGKILL)
                try wait(for: "the thaw; log: \(rig.log)") { try !filesystem.isFrozen() }
            }
            #expect(try !filesystem.isFrozen())
            if thawer == .freezerAlone { try rig.start() }
            if thawer != .freezer { #expect(try rig.thaw().status == .failure) }
            try rig.expectAlive(freezing: filesystem.mountPoint)
            #expect(try rig.stop() == .exited(0))
            try filesystem.remove()
        }

        /// Of an ordinary one: nothing, half a number, the header but for a byte, the header, and all but for the end.
        static let lengths = [0, 4, 103, 104, 120, -8, -1]

        @Test(arguments: Way.allCases, lengths)
        func `P1 P5 a ledger that is cut short is said, thaws nothing, and is in nobody's way`(
            way: Way, length: Int
        ) throws {
            try crash()
            try RunningProgram.output(of: "truncate", ["--size=\(length)", ledgerPath.string])
            try expectRefused(way, saying: length == 0 ? "cannot be mapped" : "it is damaged")
        }

        static let hostile = [
            ("chown nobody LEDGER", "owned by user 65534"), ("chmod g+w LEDGER", "its mode is 0620"),
            ("chmod o+r LEDGER", "its mode is 0604"),
            ("mv LEDGER DIR/other; ln -s other LEDGER", "it is not a file"),
            ("rm LEDGER; mkfifo -m 600 LEDGER", "it is not a file"),
            ("rm LEDGER; mkdir -m 700 LEDGER", "not a file"),
            ("rm LEDGER; mknod -m 600 LEDGER c 1 5", "it is not a file"),
        ]

        @Test(arguments: Way.allCases, hostile)
        func `P5 a ledger that quiesce did not make is said, not believed, and in nobody's way`(
            way: Way, how: (change: String, words: String)
        ) throws {
            try crash()
            let command = how.change.replacing("LEDGER", with: ledgerPath.string)
                .replacing("DIR", with: rig.runDirectory.string)
            try RunningProgram.output(of: "sh", ["-ec", command])
            try expectRefused(way, saying: how.words)
        }

        /// The ledger is kept for a human, the filesystem stays frozen, a FREEZE fails by its name.
        private func expectRefused(_ way: Way, saying words: String) throws {
            let said = try recover(by: way, expecting: 1)
            if way == .start { try rig.daemon.waitForLine { $0.contains(words) } }
            #expect(way == .start || said.contains(words) && said.contains("fsfreeze -u"), "\(said)")
            #expect(try filesystem.isFrozen())
            if way == .recover { try rig.start() }
            try rig.daemon.waitForLine { $0.contains("ledger.damaged") }
            CrashScene.expectRefused(try rig.thaw())
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.record().reason?.contains("\(filesystem.mountPoint): it is frozen already") == true)
            #expect(try rig.thaw().status == .success)
            try rig.waitUntilReleased()
            try end(.start)
        }

        @Test(arguments: ["chmod 755 DIR", "chown nobody DIR"])
        func `P5 recover believes no ledger in a run directory that others can use`(change: String) throws {
            try crash()
            let directory = rig.runDirectory.string
            try RunningProgram.output(of: "sh", ["-c", change.replacing("DIR", with: directory)])
            let (ending, _, errors) = try rig.control("recover")
            #expect(ending == .exited(1) || ending == .exited(2))
            #expect(errors.contains(directory), "\(errors)")
            #expect(try filesystem.isFrozen())
            try RunningProgram.output(of: "sh", ["-c", "chown root \(directory); chmod 700 \(directory)"])
            #expect(try recover(by: .recover).contains("\(filesystem.mountPoint): thawed"))
            try rig.start()
            try filesystem.remove()
        }

        // MARK: Which filesystem

        /// The same device, and the same mount point: made anew, or mounted anew. A btrfs has a number of its own, which is
        /// the next one's as soon as it is free.
        static let successors = [
            ("ext4", "mkfs.ext4 -q -F DEVICE"), ("ext4", "mkfs.xfs -q -f DEVICE"), ("ext4", "true"),
            ("xfs", "true"),
            ("btrfs", "true"), ("btrfs", "mkfs.btrfs -q -f DEVICE"),
        ]

        @Test(arguments: Way.allCases, successors)
        func `P5 a filesystem that has the place of ours now, frozen by somebody else, stays frozen`(
            way: Way, successor: (type: String, making: String)
        ) throws {
            let place = try UnheldFilesystem("place", type: successor.type, mebibytes: 320)
            try RunningProgram.output(of: "sh", ["-c", place.mountCommand])
            try RunningProgram.output(of: "umount", ["--lazy", filesystem.mountPoint.string])
            let rig = try DaemonRig(configuration: ["filesystems": "include = [\"\(place.mountPoint)\"]"])
            #expect(try rig.freeze().status == .success)
            try rig.killBoth()
            let (device, mountPoint) = (place.device.string, place.mountPoint.string)
            try RunningProgram.output(of: "fsfreeze", ["--unfreeze", mountPoint])
            try RunningProgram.output(of: "umount", [mountPoint])
            try place.waitForEnd()
            try RunningProgram.output(of: "sh", ["-ec", successor.making.replacing("DEVICE", with: device)])
            try place.show()
            try RunningProgram.output(of: "mount", [device, mountPoint])
            try RunningProgram.output(of: "fsfreeze", ["--freeze", mountPoint])
            if way == .recover {
                let (ending, output, _) = try rig.control("recover")
                #expect(ending == .exited(0))
                #expect(Self.hasGone(mountPoint, output), "\(output)")
            } else {
                try rig.start()
                try rig.daemon.waitForLine { Self.hasGone(mountPoint, $0) }
            }
            #expect(try FreezeProof.isFrozen(place.mountPoint))
            try RunningProgram.output(of: "fsfreeze", ["--unfreeze", mountPoint])
            if way == .recover { try rig.start() }
            _ = try rig.thaw()
            try rig.expectAlive(freezing: place.mountPoint)
            #expect(try rig.stop() == .exited(0))
            try RunningProgram.output(of: "umount", [mountPoint])
            try place.remove()
            try RunningProgram.output(
                of: "mount", [filesystem.device.string, filesystem.mountPoint.string])
            try filesystem.remove()
        }

        /// The second if the number was another one this time.
        private static func hasGone(_ mountPoint: String, _ text: String) -> Bool {
            text.contains("\(mountPoint): another filesystem by now")
                || text.contains("\(mountPoint): not mounted any more, and nothing of it is left")
        }

        @Test func `P1 a ledger that a hook removes is made again before anything is frozen`() throws {
            try rig.install(
                hook: "20-tidy", "[ $1 = thaw ] || rm \(ledgerPath); echo tidy $1 >> $TRACE")
            try crash()
            try rig.daemon.waitForLine {
                $0.contains("planning again") && $0.contains("\(ledgerPath) was removed")
            }
            _ = try recover(by: .recover)
            #expect(try !filesystem.isFrozen())
            // Of both hooks it is known, too, that they are owed their thaw.
            try rig.start()
            try rig.waitForTrace("thaw failed")
            #expect(try rig.traced() == ["freeze ", "tidy freeze", "tidy thaw", "thaw failed"])
            #expect(try rig.stop() == .exited(0))
            try filesystem.remove()
        }

        @Test func `P1 recover thaws a btrfs that is mounted nowhere any more`() throws {
            let place = try UnheldFilesystem("nowhere", type: "btrfs", mebibytes: 256)
            let container = try ScratchContainer(place.mountCommand)
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success)
            try rig.killBoth()
            try container.end()
            let (ending, output, errors) = try rig.control("recover")
            #expect(ending == .exited(0), "\(errors)")
            #expect(output.contains("  \(place.mountPoint): thawed\n"), "\(output)")
            // Frozen, it would live on in its device.
            try place.remove()
            #expect(try !FreezeProof.isFrozen("/"))
            try filesystem.remove()
        }
    }
}

extension DaemonRig {
    /// The next backup, of one filesystem, is a good one.
    fileprivate func expectAlive(freezing mountPoint: FilePath) throws {
        #expect(try !FreezeProof.isFrozen(mountPoint))
        #expect(try freeze().status == .success, "log: \(log)")
        #expect(try FreezeProof.isFrozen(mountPoint))
        #expect(try thaw().status == .success)
        #expect(try !FreezeProof.isFrozen(mountPoint))
        try waitUntilReleased()
    }
}
