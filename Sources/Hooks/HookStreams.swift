import FreezeCore
import LinuxCalls
import SystemPackage

/// The standard streams of one call: the hook's ends, and ours.
struct HookStreams: Sendable {
    /// The hook's standard input: empty, or of a session hook a pipe that ends when it is released.
    let input: FileDescriptor
    let output: OutputPipe
    /// Of a session hook.
    let session: SessionControl?

    init(of kind: HookKind) throws(Errno) {
        output = try OutputPipe()
        do throws(Errno) {
            switch kind {
            case .plain:
                input = try openDescriptor("/dev/null", .readOnly)
                session = nil
            case .session:
                (input, session) = try Self.makeSession()
            }
        } catch {
            output.close()
            throw error
        }
    }

    private static func makeSession() throws(Errno) -> (FileDescriptor, SessionControl) {
        let pipe = try InputPipe()
        do throws(Errno) {
            return (pipe.readEnd, try SessionControl(input: pipe.writeEnd))
        } catch {
            pipe.close()
            throw error
        }
    }

    /// The hook has them now. Close reports only what cannot concern a pipe.
    func closeHooksEnds() {
        try? input.close()
        try? output.writeEnd.close()
    }

    /// Nobody was started: what is ours of a session closes itself.
    func closeOurEnds() {
        try? output.readEnd.close()
    }
}
