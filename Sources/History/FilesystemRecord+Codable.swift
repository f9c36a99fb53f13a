import FreezeCore
import LinuxCalls
import SystemPackage

extension FilesystemRecord: TimedPart {
    private enum CodingKeys: String, CodingKey {
        case mountPoint = "mount_point"
        case otherMountPoints = "other_mount_points"
        case device, source, type, uuid, label, action, reason
        case step = "level"
        case storedOn = "stored_on"
        case leftOut = "left_out"
        case harmless, flushes, freeze, thaw, stuck, holders
    }

    public func encode(to encoder: any Encoder, since start: Moment) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(mountPoint.escaped, forKey: .mountPoint)
        let others = otherMountPoints.prefix(RecordLimit.otherMountPoints).map(\.escaped)
        try members.encodeUnlessEmpty(others, forKey: .otherMountPoints)
        try members.encode(device.description, forKey: .device)
        try members.encode(escapedControlCharacters(source), forKey: .source)
        try members.encode(escapedControlCharacters(type), forKey: .type)
        try members.encodeIfPresent(identity.uuid.map(escapedControlCharacters), forKey: .uuid)
        try members.encodeIfPresent(identity.label.map(escapedControlCharacters), forKey: .label)
        try members.encode(action.rawValue, forKey: .action)
        try members.encode(escapedControlCharacters(reason), forKey: .reason)
        try members.encodeIfPresent(step, forKey: .step)
        try members.encodeUnlessEmpty(storedOn.map(\.description), forKey: .storedOn)
        try members.encodeIfTrue(isHarmless, forKey: .harmless)
        try members.encodeIfTrue(isLeftOut, forKey: .leftOut)
        if !flushes.isEmpty { try members.encode(flushes, forKey: .flushes, since: start) }
        try members.encodeIfPresent(freeze, forKey: .freeze, since: start)
        try members.encodeIfPresent(thaw, forKey: .thaw, since: start)
        try members.encodeIfTrue(isStuck, forKey: .stuck)
        if !holders.isEmpty {
            let first = holders.prefix(RecordLimit.writeHolders)
            try members.encode(first.map(\.withoutMountPoint), forKey: .holders)
        }
    }

    public init(from decoder: any Decoder, since start: Moment) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        guard let mountPoint = try members.decodePath(forKey: .mountPoint) else {
            throw members.corrupted(.mountPoint, "no path")
        }
        self.init(
            device: try members.decodeDevice(forKey: .device), mountPoint: mountPoint,
            source: try members.decode(String.self, forKey: .source),
            type: try members.decode(String.self, forKey: .type),
            action: try members.decodeRaw(FilesystemAction.self, forKey: .action),
            reason: try members.decode(String.self, forKey: .reason))
        otherMountPoints = try members.decodePaths(forKey: .otherMountPoints) ?? []
        identity.uuid = try members.decodeIfPresent(String.self, forKey: .uuid)
        identity.label = try members.decodeIfPresent(String.self, forKey: .label)
        step = try members.decodeIfPresent(Int.self, forKey: .step)
        storedOn = try members.decodeDevices(forKey: .storedOn)
        isHarmless = try members.decodeFlag(forKey: .harmless)
        isLeftOut = try members.decodeFlag(forKey: .leftOut)
        if members.has(.flushes) {
            flushes = try members.decode([TimedResult].self, forKey: .flushes, since: start)
        }
        freeze = try members.decodePart(forKey: .freeze, since: start)
        thaw = try members.decodePart(forKey: .thaw, since: start)
        isStuck = try members.decodeFlag(forKey: .stuck)
        holders = try members.decodeIfPresent([WriteHolder].self, forKey: .holders) ?? []
    }
}

extension TimedResult: TimedPart {
    private enum CodingKeys: String, CodingKey {
        case offset = "offset_ms"
        case duration = "duration_ms"
        case error
    }

    private enum ErrorKeys: String, CodingKey {
        /// `EBUSY`, or `errno 524` for a number without a name.
        case errno
        case message
    }

    public func encode(to encoder: any Encoder, since start: Moment) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(roundedMilliseconds(started - start), forKey: .offset)
        try members.encode(roundedMilliseconds(duration), forKey: .duration)
        if let error {
            var failure = members.nestedContainer(keyedBy: ErrorKeys.self, forKey: .error)
            try failure.encode(error.symbolicName, forKey: .errno)
            try failure.encode(error.description, forKey: .message)
        }
    }

    public init(from decoder: any Decoder, since start: Moment) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        let started = start + (try members.decodeDuration(forKey: .offset))
        var error: Errno?
        if members.has(.error) {
            let failure = try members.nestedContainer(keyedBy: ErrorKeys.self, forKey: .error)
            error = Errno(symbolicName: try failure.decode(String.self, forKey: .errno))
            guard error != nil else { throw failure.corrupted(.errno, "an unknown error") }
        }
        self.init(error: error, started: started, ended: started + (try members.decodeDuration(forKey: .duration)))
    }
}

extension UnreachableFilesystem: Codable {
    private enum CodingKeys: String, CodingKey {
        case type, source, devices, uuid, label
    }

    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(escapedControlCharacters(type), forKey: .type)
        try members.encode(escapedControlCharacters(source), forKey: .source)
        try members.encode(devices.map(\.description), forKey: .devices)
        try members.encodeIfPresent(identity.uuid.map(escapedControlCharacters), forKey: .uuid)
        try members.encodeIfPresent(identity.label.map(escapedControlCharacters), forKey: .label)
    }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            type: try members.decode(String.self, forKey: .type),
            source: try members.decode(String.self, forKey: .source),
            devices: try members.decodeDevices(forKey: .devices), life: nil)
        identity.uuid = try members.decodeIfPresent(String.self, forKey: .uuid)
        identity.label = try members.decodeIfPresent(String.self, forKey: .label)
    }
}

/// In a record, and in the reply of `Status`, which names the filesystem.
extension WriteHolder: Codable {
    fileprivate var withoutMountPoint: WriteHolder {
        WriteHolder(
            processID: processID, command: command, userID: userID, file: file, mountPoint: nil, remedy: remedy,
            write: write)
    }

    private enum CodingKeys: String, CodingKey {
        case mountPoint = "mount_point"
        case processID = "pid"
        case command
        case userID = "uid"
        case file, remedy
    }

    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encodeIfPresent(mountPoint?.escaped, forKey: .mountPoint)
        try members.encode(processID, forKey: .processID)
        try members.encode(escapedControlCharacters(command), forKey: .command)
        try members.encode(userID, forKey: .userID)
        try members.encodeIfPresent(file?.escaped, forKey: .file)
        try members.encode(remedy, forKey: .remedy)
    }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            processID: try members.decode(Int32.self, forKey: .processID),
            command: try members.decode(String.self, forKey: .command),
            userID: try members.decode(UInt32.self, forKey: .userID), file: try members.decodePath(forKey: .file),
            mountPoint: try members.decodePath(forKey: .mountPoint),
            remedy: try members.decode(String.self, forKey: .remedy), write: nil)
    }
}
