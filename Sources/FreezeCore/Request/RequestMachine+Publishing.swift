/// The progress of publishing the state to the host.
struct Publication: Hashable, Sendable {
    /// The requests of earlier instances are known. A publication before could say "no backup" falsely.
    var isPastKnown = false
    /// The last publication is out of date, or did not succeed.
    var isDue = false
    /// The driver publishes. A publication that hangs stays the only one.
    var isRunning = false
    var isCancelled = false
    /// The pause after a failure is not over.
    var isPaused = false
}

/// When the state is published to the host: after each request, while nothing can be frozen.
///
/// The published file may be on a filesystem that is about to be frozen. A request waits for no publication: at the
/// begin of a request the driver is told to stop, and the record of the request makes a new publication due.
extension RequestMachine {
    /// Whether files may be written without a request that could freeze them meanwhile.
    private var isQuiet: Bool { state == .idle && !mayFileWriteHang }

    mutating func pastRecalled() {
        publication.isPastKnown = true
        publication.isDue = true
    }

    mutating func publicationEnded(isDone: Bool) {
        publication.isRunning = false
        guard !isDone, !publication.isCancelled, !publication.isPaused else { return }
        publication.isPaused = true
        emit(.pauseBeforePublication)
    }

    mutating func publicationDue() {
        publication.isPaused = false
        publication.isDue = true
    }

    /// After each event.
    mutating func publishState() {
        guard policy.publishesState, state != .stopped else { return }
        if publication.isRunning {
            if !isQuiet { cancelPublication() }
        } else if isQuiet, publication.isPastKnown, publication.isDue {
            publication.isDue = false
            publication.isRunning = true
            publication.isCancelled = false
            emit(.publish(isLast: false))
        }
    }

    private mutating func cancelPublication() {
        guard publication.isRunning, !publication.isCancelled else { return }
        publication.isCancelled = true
        emit(.cancelPublication)
    }

    /// At the end of the daemon, which waits a moment: the state of a stopped daemon is not `ok`.
    mutating func publishLastState() {
        guard policy.publishesState, publication.isPastKnown, !mayFileWriteHang else { return }
        cancelPublication()
        emit(.publish(isLast: true))
    }
}
