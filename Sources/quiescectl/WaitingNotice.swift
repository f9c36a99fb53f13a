import FreezeCore
import LinuxCalls

/// Shows the reason for a wait of more than two seconds.
struct WaitingNotice {
    private let isOver = Monitor(false)

    /// - Parameter text: The reason, as a clause, for standard error.
    init(_ text: String) {
        self.init { printErrorLines(["\(text) …"]) }
    }

    /// - Parameter tell: Called on another thread.
    init(_ tell: @escaping @Sendable () -> Void) {
        // Without a thread there is no notice.
        try? OperatingSystemThread.start("notice") { [isOver] in
            if isOver.wait(until: .now + .seconds(2), { $0 ? true : nil }) == nil { tell() }
        }
    }

    /// It is done.
    func end() { isOver.update { $0 = true } }
}
