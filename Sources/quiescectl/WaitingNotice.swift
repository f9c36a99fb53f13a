import Dispatch

/// Says on standard error what a command is waiting for, if that takes longer than two seconds.
struct WaitingNotice {
    private let notice: DispatchWorkItem

    /// - Parameter text: What is being done, as a clause.
    init(_ text: String) {
        notice = DispatchWorkItem { printErrorLines(["\(text) …"]) }
        DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(2), execute: notice)
    }

    /// It is done.
    func end() { notice.cancel() }
}
