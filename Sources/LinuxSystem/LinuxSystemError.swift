import FreezeCore
import SystemPackage

/// What went wrong between this process and the system: a mount table, a mount point, a device.
public struct LinuxSystemError: ActionableError, Hashable {
    /// Opaque, so that a code can be added without breaking whoever switches over them.
    public struct Code: Hashable, Sendable {
        private enum Value: Hashable, Sendable {
            case mountTable, unmounted, replaced, unreachable, tooManyFiles, open
        }
        private let value: Value

        /// The mount table could not be read, or a line of it not understood.
        public static let mountTable = Code(value: .mountTable)
        /// The mount point is there no more.
        public static let unmounted = Code(value: .unmounted)
        /// Another mount is on the mount point than the planned one.
        public static let replaced = Code(value: .replaced)
        /// The way to the mount point leads where waiting would be needed, or through a symbolic link.
        public static let unreachable = Code(value: .unreachable)
        /// No descriptor is left, in the process or in the system.
        public static let tooManyFiles = Code(value: .tooManyFiles)
        /// The mount point could not be opened for another reason.
        public static let open = Code(value: .open)
    }

    public let code: Code
    /// The mount point it is about, if it is about one.
    public let mountPoint: FilePath?
    public let subject: String
    public let problem: String
    public let remedy: String?
    /// What the kernel said, where it said something.
    public let underlyingError: Errno?

    init(
        _ code: Code, mountPoint: FilePath? = nil, subject: String, problem: String, remedy: String? = nil,
        underlyingError: Errno? = nil
    ) {
        self.code = code
        self.mountPoint = mountPoint
        self.subject = subject
        self.problem = underlyingError.map { "\(problem): \($0)" } ?? problem
        self.remedy = remedy
        self.underlyingError = underlyingError
    }
}

extension LinuxSystemError {
    static func noDescriptor(for path: FilePath, _ errno: Errno) -> LinuxSystemError {
        LinuxSystemError(
            .tooManyFiles, subject: path.escaped, problem: "no descriptor is left for it",
            remedy: "Raise LimitNOFILE= of the service, or the sysctl fs.file-max.", underlyingError: errno)
    }

    /// A changed mount table could not be read within the writers' patience.
    static func lateMountTable(_ path: FilePath) -> LinuxSystemError {
        LinuxSystemError(
            .mountTable, subject: path.escaped, problem: "it changed, and reading it again takes too long",
            remedy: "Unmount unneeded mounts there, or set mount_namespaces = \"own\".")
    }

    static func mountTable(_ path: FilePath, _ problem: String, _ errno: Errno? = nil) -> LinuxSystemError {
        LinuxSystemError(
            .mountTable, subject: path.escaped, problem: problem, remedy: "Is /proc mounted?",
            underlyingError: errno)
    }
}
