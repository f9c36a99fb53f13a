import SystemPackage

/// Why no plan can be made.
public struct PlanError: ActionableError, Hashable {
    public enum Code: Hashable, Sendable {
        /// A filesystem to freeze or sync has no mount that can be opened without risk.
        case unreachable
        /// Filesystems are stored on each other in a ring: no order of freezing is right.
        case cycle
        /// Rules for the order contradict one another, or the storage.
        case contradiction
        /// It cannot be frozen, and the policy says that this is an error.
        case unfreezable
        /// A specific entry of `include`, or a selected mount point, matches no frozen or flushed filesystem.
        case notMounted
        /// There is no filesystem to freeze.
        case nothingToFreeze
        /// Not all of the machine could be looked at.
        case incomplete
    }

    public let code: Code
    /// The mount point it is about, if it is about one.
    public let mountPoint: FilePath?
    public let subject: String
    public let problem: String
    public let remedy: String?

    init(_ code: Code, mountPoint: FilePath? = nil, subject: String, problem: String, remedy: String) {
        self.code = code
        self.mountPoint = mountPoint
        self.subject = subject
        self.problem = problem
        self.remedy = remedy
    }
}

extension PlanError {
    static func unreachable(_ mount: MountEntry) -> PlanError {
        PlanError(
            .unreachable, mountPoint: mount.mountPoint, subject: mount.place,
            problem:
                "its filesystem (\(mount.summary)) cannot be reached: every mount of it lies below a network or FUSE "
                + "mount",
            remedy: "Mount it in a second place, or exclude it in [filesystems] exclude.")
    }

    static func unreachable(_ filesystem: UnreachableFilesystem) -> PlanError {
        PlanError(
            .unreachable, subject: filesystem.summary,
            problem: "is in use and in no mount table, so it cannot be frozen, and unreachable is \"fail\"",
            remedy:
                "End the processes that use it, exclude its device in [filesystems] exclude, or set "
                + "unreachable = \"lower\".")
    }

    static func cycle(_ mountPoints: [String]) -> PlanError {
        let ring = (mountPoints + mountPoints.prefix(1)).joined(separator: " on ")
        return PlanError(
            .cycle, subject: mountPoints.first ?? "storage",
            problem: "the filesystems are stored on each other (\(ring)): no order of freezing them is safe",
            remedy: "Detach one of the loop devices, so that the ring is broken.")
    }

    static func contradiction(_ mountPoints: [String]) -> PlanError {
        let ring = (mountPoints + mountPoints.prefix(1)).joined(separator: " before ")
        return PlanError(
            .contradiction, subject: "[[filesystems.order]]",
            problem: "the rules contradict one another, or what is stored on what (\(ring))",
            remedy: "Take the rule out that is wrong; `quiescectl plan` shows the order without it.")
    }

    static func unfreezable(_ mount: MountEntry) -> PlanError {
        PlanError(
            .unfreezable, mountPoint: mount.mountPoint, subject: mount.place,
            problem: "its filesystem (\(mount.summary)) cannot be frozen, and unfreezable is \"fail\"",
            remedy: "Exclude it in [filesystems] exclude, or set unfreezable = \"sync\".")
    }

    static func notMounted(_ selector: FilesystemSelector) -> PlanError {
        PlanError(
            .notMounted, subject: selector.description,
            problem: "is in [filesystems] include, but no mounted filesystem matches it",
            remedy: "Mount it, or take it out of include.")
    }

    /// - Parameters:
    ///   - mount: of the filesystem matched by the selector.
    ///   - reason: why the filesystem is neither frozen nor flushed.
    static func notPlanned(_ selector: FilesystemSelector, _ mount: MountEntry, _ reason: String) -> PlanError {
        PlanError(
            .notMounted, mountPoint: mount.mountPoint, subject: selector.description,
            problem: "is in [filesystems] include, but matches \(mount.place) "
                + "(\(mount.summary)), which is skipped: \(reason)",
            remedy: "Mount the right filesystem there, or take the entry out of include.")
    }

    /// - Parameter mountPoint: selected by the request.
    static func notMounted(_ mountPoint: FilePath) -> PlanError {
        PlanError(
            .notMounted, mountPoint: mountPoint, subject: mountPoint.escaped,
            problem: "is selected, but is no mount point",
            remedy: "Name a mount point that `quiescectl plan` lists.")
    }

    /// - Parameters:
    ///   - mountPoint: selected by the request.
    ///   - reason: why the filesystem is neither frozen nor flushed.
    static func notPlanned(_ mountPoint: FilePath, _ reason: String) -> PlanError {
        PlanError(
            .notMounted, mountPoint: mountPoint, subject: mountPoint.escaped,
            problem: "is selected, but is skipped: \(reason)",
            remedy: "Name a mount point of a filesystem that `quiescectl plan` freezes or flushes.")
    }

    /// - Parameter unseen: A sentence.
    static func incomplete(_ unseen: String) -> PlanError {
        let unseen = unseen.hasSuffix(".") ? String(unseen.dropLast()) : unseen
        return PlanError(
            .incomplete, subject: "[filesystems]",
            problem: "there may be filesystems that the plan does not know of: \(unseen)",
            remedy: "If the others do not matter, set mount_namespaces = \"own\".")
    }

    static let nothingToFreeze = PlanError(
        .nothingToFreeze, subject: "[filesystems]", problem: "there is no filesystem to freeze",
        remedy: "See `quiescectl plan` for why each one is left out.")
}

extension MountEntry {
    /// Type and source, safe to show: `ext4 on /dev/vda1`.
    var summary: String {
        "\(escapedControlCharacters(filesystemType)) on \(escapedControlCharacters(source))"
    }
}
