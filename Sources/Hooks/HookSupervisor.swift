import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// Watches one running hook: reads the output, and ends the hook at the timeout or a cancellation.
///
/// The end of the call is the exit of the hook itself. A child it left behind may keep the pipe open for ever
/// (it daemonised), and is none of our business - unless the hook was ended: then everything in its process
/// group is.
///
/// A session hook is watched through its whole life: until it has said READY as every other hook, then without a
/// deadline until it is released, and from there on with that of its release.
struct HookSupervisor: Sendable {
    /// Between TERM and KILL: enough for a hook to release its lock, and little beside the 20 s in which a thaw
    /// has to be answered.
    static let grace = Duration.seconds(2)
    /// After KILL. A process that is not gone by then hangs in the kernel.
    static let patience = Duration.seconds(2)

    let group: ProcessGroup
    /// Readable once the hook has exited (pidfd_open(2)). Borrowed.
    let processDescriptor: FileDescriptor
    /// The read end of the hook's output; does not block. Closed by ``watch()``.
    let output: FileDescriptor
    /// Readable once cancelled, and then for ever.
    let cancellation: WakeUp
    let deadline: Moment
    /// Of a session hook.
    var session: SessionControl?
    /// Called once, when a session hook is ready, with what it wrote until then.
    var onReady: @Sendable (CapturedOutput) -> Void = { _ in }

    enum Cause: Sendable {
        /// It exited by itself.
        case exit
        case timeout
        case cancellation
    }

    struct Observation: Sendable {
        let cause: Cause
        /// A session hook had said READY in time; the output is what came after that.
        let wasReady: Bool
        /// Something survived KILL and was left behind.
        let isAbandoned: Bool
        let output: CapturedOutput
        let ended: Moment
    }

    private enum Stage {
        case running
        /// It is a session hook, and has said READY.
        case held
        /// Its standard input has ended.
        case releasing
        case terminating
        case killing

        /// Whether it is let run, and its exit is its own.
        var isUndisturbed: Bool {
            switch self {
            case .running, .held, .releasing: true
            case .terminating, .killing: false
            }
        }
    }

    /// What is known so far.
    private struct State {
        var stage = Stage.running
        var cause = Cause.exit
        /// Nil for never.
        var stageEnd: Moment?
        var wasReady = false
        var output = CapturedOutput()
        var isPipeOpen = true
        var hasExited = false
    }

    /// Blocks until the call is over: at the latest a few seconds after the deadline, or after a session's release.
    func watch() -> Observation {
        var state = State(stageEnd: deadline)
        var isAbandoned = false
        while true {
            if state.hasExited && (state.stage.isUndisturbed || !group.hasLivingMembers) { break }
            if let end = state.stageEnd, Moment.now >= end {
                if state.stage == .killing {
                    isAbandoned = true
                    break
                }
                escalate(&state, because: .timeout)
            }
            wait(&state)
        }
        if state.isPipeOpen { state.output.readRest(from: output) }
        // Whoever still writes gets SIGPIPE. Close reports only what cannot concern a pipe.
        try? output.close()
        return Observation(
            cause: state.cause, wasReady: state.wasReady, isAbandoned: isAbandoned, output: state.output,
            ended: Moment.now)
    }

    private func escalate(_ state: inout State, because cause: Cause) {
        switch state.stage {
        case .running, .held, .releasing:
            state.cause = cause
            state.stage = .terminating
            state.stageEnd = Moment.now + Self.grace
            group.signal(SIGTERM)
        case .terminating, .killing:
            state.stage = .killing
            state.stageEnd = Moment.now + Self.patience
            group.signal(SIGKILL)
        }
    }

    /// Waits for the next thing to happen and takes note of it.
    private func wait(_ state: inout State) {
        let ready = pollDescriptors(
            [
                (state.isPipeOpen ? output : nil, .readable),
                (state.hasExited ? nil : processDescriptor, .readable),
                (state.stage == .running ? cancellation.descriptor : nil, .readable),
                (state.stage == .held ? session?.signal.descriptor : nil, .readable),
            ], until: nextLook(state))
        if !ready[0].isEmpty, case .end = state.output.read(from: output) { state.isPipeOpen = false }
        if !ready[1].isEmpty { state.hasExited = true }
        if !ready[2].isEmpty, !state.hasExited { escalate(&state, because: .cancellation) }
        if state.stage == .running, session != nil, state.output.saysReady { hold(&state) }
        if !ready[3].isEmpty, state.stage == .held {
            state.stage = .releasing
            state.stageEnd = session?.deadline
        }
    }

    private func hold(_ state: inout State) {
        state.stage = .held
        state.stageEnd = nil
        state.wasReady = true
        onReady(state.output.drain())
    }

    private func nextLook(_ state: State) -> Moment? {
        // The rest of the group is nobody's child of ours, so nothing tells when it is gone: look again and again.
        guard state.hasExited else { return state.stageEnd }
        let soon = Moment.now + .milliseconds(20)
        return min(state.stageEnd ?? soon, soon)
    }
}
