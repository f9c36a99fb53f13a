import FreezeCore
import SystemPackage

/// What the kernel knows of one superblock (fs/super.c).
struct SimulatedSuperblock {
    enum Holder: Equatable {
        case nobody
        /// Frozen by a freezer of ours; when that must be over (P1).
        case us(until: Int64)
        case foreign
    }

    /// A FIFREEZE of ours that has not returned.
    struct Freezing {
        /// Until then it waits for writers, and FITHAW gives EINVAL at once. From then on it flushes, and FITHAW waits.
        var flushes: Int64
        var ends: Int64
    }

    var holder = Holder.nobody
    var freezing: Freezing?
    /// The freezer whose FIFREEZE or FITHAW has not returned.
    var inFlight: Int?
    /// A FIFREEZE of ours succeeded, and no FITHAW of ours has returned since, whatever others did meanwhile.
    var isOwedThaw = false
    /// Somebody thawed it while it was frozen by us, and something was written to it.
    var isWritten = false

    var isFrozenByUs: Bool {
        if case .us = holder { true } else { false }
    }
}

extension Simulation {
    // MARK: FIFREEZE

    /// FIFREEZE begins; it returns after the delay. What is frozen already is not frozen again.
    func beginFreeze(_ superblock: Int, for delay: Int64) {
        guard superblocks[superblock].holder == .nobody else { return }
        let writing = random.oneIn(2) ? delay : delay / 2
        superblocks[superblock].freezing = .init(flushes: now + writing, ends: now + delay)
    }

    /// FIFREEZE returns.
    func endFreeze(_ superblock: Int) -> Errno? {
        guard superblocks[superblock].freezing != nil else { return .resourceBusy }
        superblocks[superblock].freezing = nil
        if let error = freezeError { return error }
        superblocks[superblock].holder = .us(until: max(now, windowLimit) + slack)
        superblocks[superblock].isOwedThaw = true
        superblocks[superblock].isWritten = false
        return nil
    }

    /// What ioctl_fsfreeze and freeze_super can give, and what flushing in the filesystem's own freeze can.
    private static let freezeErrors: [Errno] = [
        .resourceBusy, .notSupportedOnSocket, .notPermitted, .ioError, .readOnlyFileSystem, .interrupted, .noSpace,
        .noMemory, .diskQuotaExceeded, .invalidArgument, .inappropriateIOCTLForDevice,
    ]

    private var freezeError: Errno? {
        guard faults.contains(.freezeFails), random.oneIn(5) else { return nil }
        let place = random.below(Self.freezeErrors.count)
        coverage.freezeErrors[place] += 1
        return Self.freezeErrors[place]
    }

    static var freezeErrorCount: Int { freezeErrors.count }

    // MARK: FITHAW

    /// FITHAW by us, where no FIFREEZE is in progress: nil, or EINVAL for what is not frozen.
    ///
    /// - Parameter isUncertain: Its freezer died before it could write down what FIFREEZE or FITHAW had given. Then a
    ///   guard has to try, for P1, and the kernel does not say whose freeze it ends.
    func thawSuperblock(_ superblock: Int, isUncertain: Bool = false) -> Errno? {
        let isOwedThaw = superblocks[superblock].isOwedThaw
        superblocks[superblock].isOwedThaw = false
        switch superblocks[superblock].holder {
        case .us:
            superblocks[superblock].holder = .nobody
            return nil
        case .nobody:
            if isOwedThaw { check.isTorn = true }
            return .invalidArgument
        case .foreign:
            // Somebody thawed ours and froze anew: to the kernel that is the same freeze.
            if isOwedThaw || isUncertain {
                coverage.note(.foreignTakenForOurs)
            } else {
                violate("P5", "\(SimulatedWorld.mountPoints[superblock]), frozen by somebody else, is thawed")
            }
            superblocks[superblock].holder = .nobody
            return nil
        }
    }
}
