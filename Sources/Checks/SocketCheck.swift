import Configuration
import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage

/// The daemon takes connections on its control socket.
enum SocketCheck {
    static let name = "control_socket"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        let path = subject.configuration.control.socket
        switch subject.service {
        case .notStarted: return []
        case .silent(let problem): return [silent(path, problem)]
        case .running: return [Finding(name, .ok, "quiesced answers on \(path.escaped).")]
        case .unreachable:
            return [finding(path, error: connectError(path), isHostServed: isHostServed(subject))]
        }
    }

    /// Where the daemon holds the device of the host, the host gets its backups without the socket.
    private static func isHostServed(_ subject: CheckSubject) -> Bool {
        let configuration = subject.configuration
        let devices = [
            configuration.hyperv.enabled == .off ? nil : configuration.hyperv.device,
            configuration.qemu.enabled == .off ? nil : configuration.qemu.device,
        ]
        return devices.compactMap(\.self).contains { device in
            access(device.string, F_OK) == 0
                && DeviceHolder.holders(of: device, in: ProcessTable(subject.proc)).contains {
                    $0.name == "quiesced"
                }
        }
    }

    private static func silent(_ path: FilePath, _ problem: String) -> Finding {
        Finding(
            name, .error, "quiesced does not answer on \(path.escaped): \(problem)".asSentence,
            nextStep: "Look into its log: `journalctl -u quiesced`.")
    }

    /// - Parameter isHostServed: Whether backups of the host work without the socket.
    static func finding(_ path: FilePath, error: Errno?, isHostServed: Bool) -> Finding {
        let verdict: Finding.Verdict = isHostServed ? .warning : .error
        return switch error {
        case nil:
            Finding(
                name, verdict, "quiesced did not answer on \(path.escaped) at first.",
                nextStep: "Run `quiescectl check` again.")
        case .wouldBlock?:
            Finding(
                name, verdict, "quiesced does not take connections on \(path.escaped).",
                nextStep: "Look into its log: `journalctl -u quiesced`.")
        case .noSuchFileOrDirectory?, .connectionRefused?:
            Finding(
                name, verdict,
                isHostServed
                    ? "quiesced runs, but nobody listens on \(path.escaped)."
                    : "quiesced does not run: nobody listens on \(path.escaped).",
                nextStep: isHostServed
                    ? "Look into its log: `journalctl -u quiesced`."
                    : "Start it: `systemctl enable --now quiesced`.")
        case let error?:
            Finding(
                name, verdict, "quiesced cannot be reached on \(path.escaped): \(error).",
                nextStep: "Check control.socket in the configuration.")
        }
    }

    /// Nil if it connects (connect(2)). Does not wait for a listener that is busy.
    private static func connectError(_ path: FilePath) -> Errno? {
        do throws(Errno) {
            let socket = try FileDescriptor.localSocket(SOCK_STREAM)
            defer { try? socket.close() }
            // The configuration refuses a path that is too long.
            return try LocalSocketAddress(path: path).connect(socket)
        } catch {
            return error
        }
    }
}
