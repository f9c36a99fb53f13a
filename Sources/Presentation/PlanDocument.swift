import FreezeCore
import SystemPackage

/// A plan for programs: what `quiescectl plan --json` prints.
///
/// The keys are stable: they are added to, never renamed or given another meaning. Names of files are escaped as in
/// mountinfo (`\040`), since a path may hold bytes that JSON cannot.
public struct PlanDocument: Encodable, Sendable, Hashable {
    /// One filesystem, that is one superblock.
    public struct Filesystem: Encodable, Sendable, Hashable {
        /// `freeze`, `sync` or `skip`.
        public let action: String
        /// From 1: the step it is frozen in; thaw goes the other way. Null unless it is frozen.
        public let order: Int?
        /// The mount it is reached through.
        public let mountPoint: String
        /// The mount namespace that the mount point is in; null for quiesce's own.
        public let mountNamespace: Namespace?
        public let otherMountPoints: [String]
        /// As the mount table names it.
        public let type: String
        public let source: String
        /// The superblock's number, `major:minor`.
        public let device: String
        public let uuid: String?
        public let label: String?
        /// Why, in a clause.
        public let reason: String
        /// Why it is frozen before others, in a clause. Null if it is frozen with the last ones.
        public let orderReason: String?
        /// Mount points of the filesystems that hold it, directly or through others.
        public let storedOn: [String]
        /// True if the filesystem lowers the level of the result to `crash`.
        public let lowersLevel: Bool
        /// The route of a flush: `filesystem`, or `device` if the mount may hang. Null if skipped.
        public let flushedThrough: String?

        /// Named by a process in the namespace, and by a thread if the main thread is in another namespace.
        public struct Namespace: Encodable, Sendable, Hashable {
            public let pid: Int32
            public let tid: Int32?
            /// As ps shows it.
            public let command: String
        }

        enum CodingKeys: String, CodingKey {
            case action, order, type, source, device, uuid, label, reason
            case mountPoint = "mount_point"
            case mountNamespace = "mount_namespace"
            case otherMountPoints = "other_mount_points"
            case storedOn = "stored_on"
            case orderReason = "order_reason"
            case lowersLevel = "lowers_level"
            case flushedThrough = "flushed_through"
        }

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(action, forKey: .action)
            // Written as null, too: a key that is always there is easier to rely on.
            try container.encode(order, forKey: .order)
            try container.encode(mountPoint, forKey: .mountPoint)
            try container.encode(mountNamespace, forKey: .mountNamespace)
            try container.encode(otherMountPoints, forKey: .otherMountPoints)
            try container.encode(type, forKey: .type)
            try container.encode(source, forKey: .source)
            try container.encode(device, forKey: .device)
            try container.encode(uuid, forKey: .uuid)
            try container.encode(label, forKey: .label)
            try container.encode(reason, forKey: .reason)
            try container.encode(orderReason, forKey: .orderReason)
            try container.encode(storedOn, forKey: .storedOn)
            try container.encode(lowersLevel, forKey: .lowersLevel)
            try container.encode(flushedThrough, forKey: .flushedThrough)
        }
    }

    /// A filesystem in use and in no mount table. Such a filesystem is not frozen, and lowers the level of the
    /// result to `crash`.
    public struct Unreachable: Encodable, Sendable, Hashable {
        /// The name of the kernel's driver.
        public let type: String
        public let source: String
        /// The numbers of the block devices, `major:minor`.
        public let devices: [String]
        public let uuid: String?
        public let label: String?

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(type, forKey: .type)
            try container.encode(source, forKey: .source)
            try container.encode(devices, forKey: .devices)
            try container.encode(uuid, forKey: .uuid)
            try container.encode(label, forKey: .label)
        }

        enum CodingKeys: String, CodingKey {
            case type, source, devices, uuid, label
        }
    }

    /// In the order of the plan: the frozen by step, then the synced, then the skipped.
    public let filesystems: [Filesystem]
    public let unreachable: [Unreachable]
    /// What else there is to know, in sentences.
    public let notes: [String]
    public let summary: String

    public init(_ plan: FreezePlan) {
        let names = Dictionary(plan.filesystems.map { ($0.device, $0.mountPoint.escaped) }) { first, _ in first }
        filesystems = plan.filesystems.map { filesystem in
            Filesystem(
                action: filesystem.action.rawValue, order: filesystem.step.map { $0 + 1 },
                mountPoint: filesystem.mountPoint.escaped,
                mountNamespace: filesystem.mount.namespace.map {
                    Filesystem.Namespace(pid: $0.processID, tid: $0.threadID, command: $0.command)
                },
                otherMountPoints: filesystem.otherMountPoints.map(\.escaped),
                type: filesystem.mount.filesystemType, source: filesystem.mount.source,
                device: filesystem.device.description, uuid: filesystem.identity.uuid,
                label: filesystem.identity.label, reason: filesystem.reason,
                orderReason: filesystem.orderReason,
                storedOn: filesystem.storedOn.map { names[$0] ?? $0.description },
                lowersLevel: filesystem.lowersLevel,
                flushedThrough: filesystem.action == .skip
                    ? nil : filesystem.isFlushedThroughDevice ? "device" : "filesystem")
        }
        unreachable = plan.unreachable.map { filesystem in
            Unreachable(
                type: filesystem.type, source: filesystem.source, devices: filesystem.devices.map(\.description),
                uuid: filesystem.identity.uuid, label: filesystem.identity.label)
        }
        notes = plan.notes
        summary = plan.summary
    }
}
