import ArgumentParser
import ControlProtocol

/// `quiescectl hooks thaw`: ends a request of `hooks freeze`.
struct HooksThawCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "thaw",
        abstract: "End `quiescectl hooks freeze`: release the session hooks, and call the hooks for thaw.",
        discussion: """
            For the scripts of other agents: see hooks/adapters. A script names its request by --request-file, or by \
            --request: else it could end the request of another script.

            Exit status: 0 the hooks held until now; 1 no hooks were held, or it could not be done; 2 wrong usage or \
            configuration; 3 quiesced cannot be reached; 5 a hook, the window, or quiesced was lost before: do not trust \
            the snapshot; 6 the hooks held, but a hook failed at thaw: its application may be down.

            Examples:
              quiescectl hooks thaw
              quiescectl hooks thaw --request 1799e7926fa00910
              quiescectl hooks thaw --failed --request-file /run/my-agent
            """)

    @Flag(help: "Tell the hooks that there is no good snapshot.")
    var failed = false

    @Option(
        help: ArgumentHelp(
            "Thaw only this request, as `hooks freeze` printed it: if it is over, say so and touch nothing.",
            valueName: "id"))
    var request: String?

    @Option(
        help: ArgumentHelp(
            "Thaw only the request in this file of `hooks freeze --request-file`, and then remove the file.",
            valueName: "path"), completion: .file())
    var requestFile: RequestFile?

    @OptionGroup var options: SocketOption
    @OptionGroup var output: OutputOption

    func validate() throws {
        if request != nil, requestFile != nil {
            throw ValidationError("Name the request by --request or by --request-file, not by both.")
        }
    }

    func run() throws {
        let request = try requestFile?.read() ?? request
        let failure = failed ? "the other agent has no snapshot" : nil
        let parameters = ThawParameters(request: request, failure: failure, hooksOnly: true)
        let thaw = ManualThaw(socket: try options.path(), parameters: parameters, output: output)
        do {
            try thaw.run()
        } catch let failure as ControlFailure where !failure.isFinal {
            // The request may still be open: the file names the request for another try.
            throw failure
        } catch {
            forget(request)
            throw error
        }
        forget(request)
    }

    /// An error changes nothing of the thaw.
    private func forget(_ request: String?) {
        guard let requestFile, let request else { return }
        do throws(RequestFileError) {
            try requestFile.remove(naming: request)
        } catch {
            printError(error)
        }
    }
}
