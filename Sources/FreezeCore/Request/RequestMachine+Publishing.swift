/// The progress of publishing the state to the host.
struct Publication: Hashable, Sendable {
    /// The requests of previous instances are known. An earlier publication could show a false "no backup".
    var isPastKnown = false
    /// The last publication is out of date, or did not succeed.
    var isDue = false
    /// The driver publishes. No second publication starts beside a hanging publication.
    var isRunning = false
    var isCancelled = false
    /// The pause after a failure is not over.
    var isPaused = false
}

/// Publishes the state to the host after each request, while no filesystem can be frozen.
///
/// The published file may be on a filesystem of the next request. A request does not wait for a publication: the start
/// of a request cancels the publication, and the record of the request makes a new publication due.
extension RequestMachine {
    /// Whether no request can freeze a file while the file is written.
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

    /// Starts or cancels a publication. Call after each event.
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

    /// Publishes that the daemon is stopped: the state is then not `ok`. The daemon waits a moment for the publication.
    mutating func publishLastState() {
        guard policy.publishesState, publication.isPastKnown, !mayFileWriteHang else { return }
        cancelPublication()
        emit(.publish(isLast: true))
    }
}
