import CLinux
import FreezeCore
import Glibc
import SystemPackage

/// A child process. The child stays a zombie, and keeps its number, until ``waitForEnd()``.
public struct ChildProcess: Sendable {
    public let processID: pid_t
    /// Readable once the process has ended (pidfd_open(2)). Closed by ``waitForEnd()``.
    public let descriptor: FileDescriptor

    /// How a process ended.
    public enum End: Hashable, Sendable {
        case exited(status: CInt)
        case signalled(CInt)
    }

    /// A program inherits an ignored SIGCHLD from its parent, and the children of such a program leave no exit status
    /// (wait(2)).
    private static let sigchldReset: Void = { _ = signal(SIGCHLD, SIG_DFL) }()

    /// Starts a program, with default dispositions for all signals and no blocked signal. Returns after execve(2).
    ///
    /// The execve(2) of a program on a dead disk hangs in the kernel. At the deadline, or at the cancellation, the child
    /// is killed, and the program never begins.
    ///
    /// - Parameters:
    ///   - descriptors: The child's descriptors 0, 1, …; 16 at most. The child inherits no other descriptor.
    ///   - deadline: nil for no limit.
    ///   - cancellation: Borrowed; nil for none.
    ///   - beforeProgram: Called with the number of the process, before execve(2). The program does not begin if the call
    ///     throws, or if the caller dies during the call.
    public static func start(
        _ program: Program, descriptors: [FileDescriptor], until deadline: Moment? = nil,
        cancellation: WakeUp? = nil, beforeProgram: (pid_t) throws(StartFailure) -> Void = { _ in }
    ) throws(StartFailure) -> ChildProcess {
        _ = sigchldReset
        let (child, report) = try make(program, descriptors)
        defer { try? report.close() }
        do throws(StartFailure) {
            try beforeProgram(child.processID)
        } catch {
            child.send(signal: SIGKILL)
            _ = child.waitForEnd()
            throw error
        }
        clinux_start_begin(report.rawValue)
        let interests: [(descriptor: FileDescriptor?, events: PollEvents)] = [
            (report, .readable), (cancellation?.descriptor, .readable),
        ]
        if pollDescriptors(interests, until: deadline)[0].isEmpty {
            // Also a program that begins in this instant.
            child.send(signal: SIGKILL)
            return child
        }
        var stage: CInt = 0
        let result = clinux_start_result(report.rawValue, &stage)
        guard result < 0 else { return child }
        _ = child.waitForEnd()
        throw StartFailure(StartFailure.Stage(rawValue: stage) ?? .program, Errno(rawValue: -result))
    }

    private static func make(
        _ program: Program, _ descriptors: [FileDescriptor]
    ) throws(StartFailure) -> (child: ChildProcess, report: FileDescriptor) {
        // The child must not allocate memory.
        let arguments = CStrings(program.arguments.map { Array($0.utf8) })
        let environment = CStrings(program.environment)
        let directory = program.directory.map { CStrings([Array($0.string.utf8)]) }
        let numbers = descriptors.map(\.rawValue)
        var process = pid_t()
        var (handle, report): (CInt, CInt) = (-1, -1)
        let result = program.path.withPlatformString { path in
            numbers.withUnsafeBufferPointer { numbers in
                withUnsafePointer(to: program.inheritance.values) { fresh in
                    var start = clinux_program(
                        path: path, arguments: arguments.pointers, environment: environment.pointers,
                        directory: directory?.pointers[0], descriptors: numbers.baseAddress,
                        descriptor_count: CInt(numbers.count), has_own_session: program.hasOwnSession,
                        fresh: program.inheritance.isEverything ? nil : fresh)
                    return withExtendedLifetime((arguments, environment, directory)) {
                        clinux_start(&start, &process, &handle, &report)
                    }
                }
            }
        }
        guard result == 0 else { throw StartFailure(.process, Errno(rawValue: -result)) }
        return (
            ChildProcess(processID: process, descriptor: FileDescriptor(rawValue: handle)),
            FileDescriptor(rawValue: report)
        )
    }

    public func send(signal: CInt) {
        // Fails only if the process has ended.
        _ = clinux_pidfd_kill(descriptor.rawValue, signal)
    }

    /// Blocks until the child has ended, and reaps the child. Call once.
    ///
    /// - Returns: nil if other code has reaped the child.
    public func waitForEnd() -> End? {
        var status: CInt = 0
        var wasSignalled = false
        let result = clinux_reap(processID, &status, &wasSignalled)
        // No error of close(2) concerns a pidfd.
        try? descriptor.close()
        guard result == 0 else { return nil }
        return wasSignalled ? .signalled(status) : .exited(status: status)
    }
}

extension ChildProcess {
    /// The program to start, and the inherited attributes.
    public struct Program: Sendable {
        public let path: FilePath
        /// With the name of the program first.
        public let arguments: [String]
        /// Rows `NAME=value`.
        public let environment: [[UInt8]]
        /// nil for the directory of the parent.
        public let directory: FilePath?
        /// True for a new session and process group, without a terminal (setsid(2)).
        public let hasOwnSession: Bool
        public let inheritance: Inheritance

        public init(
            _ path: FilePath, arguments: [String], environment: [[UInt8]], directory: FilePath? = nil,
            hasOwnSession: Bool = false, inheritance: Inheritance = .everything
        ) {
            self.path = path
            self.arguments = arguments
            self.environment = environment
            self.directory = directory
            self.hasOwnSession = hasOwnSession
            self.inheritance = inheritance
        }
    }

    /// The attributes that a child inherits: nice value, scheduler, oom score, limit of descriptors, file mode mask.
    public struct Inheritance: Sendable {
        fileprivate let nice: CInt
        fileprivate let oomScoreAdjustment: CInt
        fileprivate let descriptorLimit: rlimit?
        fileprivate let fileModeMask: mode_t
        fileprivate let isEverything: Bool

        /// - Parameters:
        ///   - oomScoreAdjustment: -1000 to 1000 (proc_pid_oom_score_adj(5)).
        ///   - descriptorLimit: Soft and hard; nil to inherit both.
        init(
            nice: CInt = 0, oomScoreAdjustment: CInt = 0, descriptorLimit: rlimit? = nil,
            fileModeMask: mode_t = 0o022, isEverything: Bool = false
        ) {
            self.nice = nice
            self.oomScoreAdjustment = oomScoreAdjustment
            self.descriptorLimit = descriptorLimit
            self.fileModeMask = fileModeMask
            self.isEverything = isEverything
        }

        public static let everything = Inheritance(isEverything: true)

        /// The attributes of a process started by an init system: nice 0, SCHED_OTHER, oom score 0, mask 022, and the
        /// limit of descriptors at the start of the daemon. The daemon's own values protect the daemon from starvation
        /// and the OOM killer. Programs that use select(2) may fail with a high limit of descriptors.
        ///
        /// Without CAP_SYS_NICE or CAP_SYS_RESOURCE, attributes that need the capability are inherited.
        public static var nothing: Inheritance {
            Inheritance(descriptorLimit: DescriptorLimit.original)
        }

        fileprivate var values: clinux_inheritance {
            clinux_inheritance(
                nice: nice, oom_score_adjustment: oomScoreAdjustment,
                has_descriptor_limits: descriptorLimit != nil,
                soft_descriptor_limit: UInt64(descriptorLimit?.rlim_cur ?? 0),
                hard_descriptor_limit: UInt64(descriptorLimit?.rlim_max ?? 0), file_mode_mask: fileModeMask)
        }
    }

    /// The attributes of the parent.
    public static var ownEnvironment: [[UInt8]] {
        var rows: [[UInt8]] = []
        var next = environ
        while let row = next.pointee {
            rows.append(Array(UnsafeRawBufferPointer(start: row, count: strlen(row))))
            next += 1
        }
        return rows
    }
}

/// Why a program could not be started.
public struct StartFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The stages of a start, in order.
    public enum Stage: CInt, Sendable {
        /// EAGAIN, ENOMEM, EMFILE, ENFILE.
        case process = -1
        case session
        case signals
        case scheduler
        case priority
        case oomScore
        case directory
        case descriptors
        case descriptorLimit
        /// ENOENT, EACCES, ENOEXEC, E2BIG and others (execve(2)).
        case program

        fileprivate var name: String {
            switch self {
            case .process: "process"
            case .session: "session"
            case .signals: "signals"
            case .scheduler: "scheduler"
            case .priority: "nice"
            case .oomScore: "oom_score_adj"
            case .directory: "directory"
            case .descriptors: "descriptors"
            case .descriptorLimit: "RLIMIT_NOFILE"
            case .program: "program"
            }
        }
    }

    public let stage: Stage
    public let errno: Errno

    public init(_ stage: Stage, _ errno: Errno) {
        self.stage = stage
        self.errno = errno
    }

    public var description: String {
        switch stage {
        case .process: "no process can be made: \(errno)"
        case .program: "\(errno)"
        default: "its \(stage.name) cannot be set: \(errno)"
        }
    }
}

extension ChildProcess.End: CustomStringConvertible {
    public var description: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .signalled(let number): "signal \(number)"
        }
    }
}

/// Strings for execve(2): zero-terminated, with a null pointer at the end.
private final class CStrings {
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ strings: [[UInt8]]) {
        count = strings.count
        pointers = .allocate(capacity: count + 1)
        for (index, string) in strings.enumerated() {
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: string.count + 1)
            for (offset, byte) in string.enumerated() { (copy + offset).initialize(to: CChar(bitPattern: byte)) }
            (copy + string.count).initialize(to: 0)
            (pointers + index).initialize(to: copy)
        }
        (pointers + count).initialize(to: nil)
    }

    deinit {
        for index in 0..<count { pointers[index]?.deallocate() }
        pointers.deallocate()
    }
}
