/// The freezer's process, by the last event.
enum FreezerCondition: Hashable, Sendable {
    /// Starting or restarting. May end before it is ready.
    case starting
    case ready
    /// Killed, and the end not reported yet: a hanging FIFREEZE delays the end.
    case killed
}

/// Start and end of the freezer, and the opening of the channels, which waits for the first freezer.
extension RequestMachine {
    /// Whether the freezer is ready for a request.
    public var isFreezerReady: Bool { freezer == .ready }

    mutating func freezerReady() {
        freezer = .ready
        openWantedChannels()
        handOver()
    }

    mutating func freezerEnded(_ how: String, isByForce: Bool) {
        // First, so that the end of the freezer is not taken for the cause.
        if isByForce { recoveredByForce() }
        let before = freezer
        freezer = .starting
        emit(.pauseBeforeFreezer)
        note(.warning, "the freezer ended (\(how)); it is started again")
        if state == .planning {
            freezerEndedWhilePlanning(how, wasReady: before != .starting)
        } else if before != .killed, !isHooksOnly {
            // The filesystems of a killed freezer were taken over at the kill. A request without a freeze has none.
            loseFreezer()
        }
        // Without a freezer, too: a host that gets failure is better served than a host without an answer.
        openWantedChannels()
    }

    /// A freezer killed by another program exits only when its FIFREEZE returns. The machine does not wait.
    mutating func freezerHangs() {
        guard freezer == .ready else { return }
        freezer = .killed
        if isWindowOpen || isStuck { loseFreezer() }
    }

    private mutating func loseFreezer() {
        let isUnsettled = isWindowOpen
        // After the last thaw the freezer is not needed.
        if state != .releasing { fail("the freezer died; quiesced thawed in its place") }
        if isUnsettled || !stuck.isEmpty { takeOver() }
    }

    mutating func killFreezer() {
        freezer = .killed
        emit(.killFreezer)
    }

    /// Starting a process opens paths: not in the window (P7). While a filesystem is stuck a successor may start, since
    /// every FREEZE fails until the filesystem is free.
    mutating func startWantedFreezer() {
        guard isFreezerWanted, !isWindowOpen, !mayHoldSoon, state != .stopped else { return }
        isFreezerWanted = false
        emit(.startFreezer)
    }

    /// Whether hooks may begin to hold while a freezer still loads. A request with a freeze waits for the freezer.
    var mayHoldSoon: Bool {
        switch state {
        case .flushing, .freezeHooks, .sessionHooks: isHooksOnly
        default: false
        }
    }

    // MARK: Channels

    /// Channels wait for the freezer, since an earlier FREEZE would wait for the freezer, too.
    mutating func openChannels() {
        areChannelsWanted = true
        if freezer == .ready { openWantedChannels() }
    }

    private mutating func openWantedChannels() {
        guard areChannelsWanted, shutdownReason == nil else { return }
        areChannelsWanted = false
        emit(.openChannels)
    }
}
