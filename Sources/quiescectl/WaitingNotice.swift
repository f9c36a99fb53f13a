import FreezeCore
import LinuxCalls

/// Says what a command is waiting for, if that takes longer than two seconds.
struct WaitingNotice {
    private let isOver = Monitor(false)

    /// - Parameter text: What is being done, as a clause; told on standard error.
    init(_ text: String) {
        self.init { printErrorLines(["\(text) …"]) }
    }

    /// - Parameter tell: Called on another thread.
    init(_ tell: @escaping @Sendable () -> Void) {
        // Without a thread nothing is told.
        try? OperatingSystemThread.start("notice") { [isOver] in
            if isOver.wait(until: .now + .seconds(2), { $0 ? true : nil }) == nil { tell() }
        }
    }

    /// It is done.
    func end() { isOver.update { $0 = true } }
}
