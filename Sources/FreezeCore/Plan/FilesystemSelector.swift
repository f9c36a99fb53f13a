import SystemPackage

/// Names filesystems in the configuration's `include` and `exclude`.
public enum FilesystemSelector: Hashable, Sendable, CustomStringConvertible {
    /// `/srv/*`: one of its mount points matches.
    case mountPoint(Glob)
    /// `UUID=…`, upper or lower case.
    case uuid(String)
    /// `LABEL=…`.
    case label(String)
    /// `/dev/…`: the device it is on, by any of its names; may be a pattern.
    case device(Glob)
    /// `fstype:…`.
    case filesystemType(String)

    /// Why a text is no selector.
    public struct ParseError: ActionableError, Hashable {
        public let subject: String
        public let problem: String
        public var remedy: String? {
            "Write a mount point or a pattern for mount points (/srv/*), UUID=…, LABEL=…, a device (/dev/…), "
                + "or fstype:NAME."
        }
    }

    /// Reads one entry of `include` or `exclude`.
    public init(parsing text: String) throws(ParseError) {
        let subject = "\"\(escapedControlCharacters(text))\""
        func value(after prefix: String) throws(ParseError) -> String {
            let value = String(text.dropFirst(prefix.count))
            guard !value.isEmpty else {
                throw ParseError(subject: subject, problem: "nothing follows \(prefix)")
            }
            return value
        }
        if text.hasPrefix("UUID=") {
            self = .uuid(try value(after: "UUID=").lowercased())
        } else if text.hasPrefix("LABEL=") {
            self = .label(try value(after: "LABEL="))
        } else if text.hasPrefix("fstype:") {
            self = .filesystemType(try value(after: "fstype:"))
        } else if text.hasPrefix("/") || text.hasPrefix("*") {
            var pattern = text
            while pattern.count > 1, pattern.hasSuffix("/") { pattern.removeLast() }
            guard let glob = Glob(pattern) else {
                throw ParseError(
                    subject: subject,
                    problem: "not a valid pattern: a bracket is not closed, a range runs backwards, "
                        + "or a backslash ends it")
            }
            self = pattern.hasPrefix("/dev/") ? .device(glob) : .mountPoint(glob)
        } else {
            throw ParseError(subject: subject, problem: "names no filesystem")
        }
    }

    public var description: String {
        switch self {
        case .mountPoint(let glob), .device(let glob): escapedControlCharacters(glob.description)
        case .uuid(let uuid): "UUID=\(escapedControlCharacters(uuid))"
        case .label(let label): "LABEL=\(escapedControlCharacters(label))"
        case .filesystemType(let type): "fstype:\(escapedControlCharacters(type))"
        }
    }

    /// True if it names one thing, which is then expected to be there.
    var isSpecific: Bool {
        switch self {
        case .mountPoint(let glob), .device(let glob): glob.isLiteral
        case .uuid, .label: true
        case .filesystemType: false
        }
    }

    /// True if the mount table alone cannot tell what it matches.
    var needsIdentity: Bool {
        switch self {
        case .uuid, .label, .device: true
        case .mountPoint, .filesystemType: false
        }
    }

    var isMountPoint: Bool {
        if case .mountPoint = self { true } else { false }
    }

    /// True for a mount point pattern that matches the mount.
    func matches(_ mount: MountEntry) -> Bool {
        if case .mountPoint(let glob) = self { glob.matches(mount.mountPoint) } else { false }
    }
}
