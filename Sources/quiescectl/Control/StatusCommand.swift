import ArgumentParser
import Configuration
import ControlProtocol
import FreezeCore
import Presentation

/// `quiescectl status`: what the daemon is doing.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Tell what quiesced is doing, and how old the last good backup is.",
        discussion: """
            It answers at any moment, also while filesystems are frozen or a freeze hangs. LOST means that a window \
            ended early: whoever asked for it will be told that its snapshot is no good. STUCK names filesystems whose \
            freeze hangs in the kernel; no other backup is possible before it returns.

            Exit status: 0 told; 2 wrong usage or configuration; 3 quiesced cannot be reached.

            Examples:
              quiescectl status
              quiescectl status --json
            """)

    @OptionGroup var options: SocketOption
    @OptionGroup var output: OutputOption

    func run() throws {
        let connection = try ControlConnection.open(try options.path())
        let status = try connection.status()
        connection.close()
        try output.write(status, orLines: StatusText(status).lines)
    }
}
