/// The freezer's process, as far as the machine was told.
enum FreezerCondition: Hashable, Sendable {
    /// Being started, for the first time or again. It may end before it is ready.
    case starting
    case ready
    /// It was sent SIGKILL, and its end was not reported yet: a FIFREEZE that hangs delays the end.
    case killed
}

/// The life of the freezer's process, and the opening of the channels, which waits for the first one.
extension RequestMachine {
    /// Whether a freezer can take a request.
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
        isFreezerWanted = true
        note(.warning, "the freezer ended (\(how)); it is started again")
        if state == .planning {
            freezerEndedWhilePlanning(how, wasReady: before != .starting)
        } else if before != .killed, request?.options.freezes != false {
            // What a killed freezer held was taken over when it was killed.
            loseFreezer()
        }
        // Better to answer the host with failure, and HOT_BACKUP as always, than not at all.
        openWantedChannels()
    }

    /// Killed by somebody else while its FIFREEZE hangs, it ends only when that returns: it is not waited for.
    mutating func freezerHangs() {
        guard freezer == .ready else { return }
        freezer = .killed
        if isWindowOpen || isStuck { loseFreezer() }
    }

    private mutating func loseFreezer() {
        let isUnsettled = isWindowOpen
        // Once everything is thawed it is not needed any more.
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
        guard isFreezerWanted, !isWindowOpen, state != .stopped else { return }
        isFreezerWanted = false
        emit(.startFreezer)
    }

    // MARK: Channels

    /// A FREEZE that comes before the freezer is ready would only wait for the freezer.
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
