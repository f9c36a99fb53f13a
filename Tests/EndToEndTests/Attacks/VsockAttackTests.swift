import ControlProtocol
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// Users of the guest that occupy the port of vsock, or could read the token. The tests of the virtual machine make
/// connections: few machines can connect to themselves.
extension EndToEnd {
    @Suite(
        .needs("vsock (modprobe vsock)", toTest: "the port of vsock") {
            (try? VsockListener(port: 62_999))?.close() != nil
        }) struct VsockAttackTests
    {
        private static let token = "correct-horse-battery-staple"

        private func rig(
            port: UInt32, _ lines: String = "", isStarted: Bool = true
        ) throws -> DaemonRig {
            try DaemonRig(
                configuration: ["vsock": "enabled = true\nport = \(port)\n\(lines)"], isStarted: isStarted)
        }

        private func vsock(_ rig: DaemonRig) throws -> ControlStatus.Channel? {
            try rig.status().channels.first { $0.name == "vsock" }
        }

        @Test func `a user who listens on the port first delays vsock, and nothing else`() throws {
            let listener = try VsockListener(port: 62_101)
            let rig = try rig(port: 62_101)
            try rig.daemon.waitForLine {
                $0.contains("vsock: cannot listen on port 62101: another process listens on the port")
            }
            #expect(try vsock(rig)?.registered == false)
            try rig.expectHealthy(freezing: [])
            listener.close()
            try wait(for: "the port; log: \(rig.log)") { try vsock(rig)?.state == "listening" }
            #expect(throws: Errno.addressInUse) { try VsockListener(port: 62_101) }
            try rig.expectHealthy(freezing: [])
            #expect(try rig.stop() == .exited(0))
            try VsockListener(port: 62_101).close()
        }

        @Test(arguments: [
            ("chmod 644", "it is a secret, and its mode gives permissions to others than root"),
            ("chmod 640", "it is a secret, and its mode gives permissions to others than root"),
            ("chown nobody", "is owned by user"), ("rm", "the token cannot be read"),
            ("truncate --size 15", "the token does not have 16 to 1024 bytes"),
            ("mv -t /tmp", "the token cannot be read"),
        ])
        func `a token that a user can read, make or guess is refused`(command: String, words: String) throws {
            let rig = try rig(
                port: 62_102, "access = \"control\"\ntoken_file = \"/etc/vsock-token\"", isStarted: false)
            let script = "umask 077; echo \(Self.token) >/etc/vsock-token && \(command) /etc/vsock-token"
            try RunningProgram.output(of: "sh", ["-c", script])
            let (ending, _, errors) = try RunningProgram.run(
                ScratchWorld.programs.appending("quiesced"), ["--config", rig.configuration.string])
            #expect(ending == .exited(2))
            #expect(errors.contains("/etc/vsock-token") && errors.contains(words), "\(errors)")
            #expect(!errors.contains(Self.token))
            let check = try rig.control("check", "--before-start", "--json")
            #expect((check.output + check.errors).contains(words), "\(check)")
        }

        @Test func `a token in a directory that a user can write to is refused`() throws {
            let rig = try rig(
                port: 62_103, "access = \"control\"\ntoken_file = \"/tmp/vsock-token\"", isStarted: false)
            try RunningProgram.output(of: "sh", ["-c", "umask 077; echo \(Self.token) >/tmp/vsock-token"])
            let (ending, _, errors) = try RunningProgram.run(
                ScratchWorld.programs.appending("quiesced"), ["--config", rig.configuration.string])
            #expect(ending == .exited(2))
            #expect(errors.contains("/tmp is writable by everybody"), "\(errors)")
        }

        @Test func `control without a token is a wrong configuration`() throws {
            let rig = try rig(port: 62_104, "access = \"control\"", isStarted: false)
            let (ending, _, errors) = try RunningProgram.run(
                ScratchWorld.programs.appending("quiesced"), ["--config", rig.configuration.string])
            #expect(ending == .exited(2))
            #expect(errors.contains("vsock.access: \"control\" needs a token"), "\(errors)")
        }
    }
}
