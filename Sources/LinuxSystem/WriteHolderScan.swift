import FreezeCore
import LinuxCalls
import Synchronization
import SystemPackage

/// Finds tasks in /proc that sleep inside a write to a filesystem and wait for another process.
///
/// A FIFREEZE waits for such a write until the write ends (fs/super.c: sb_wait_write). Users control the files
/// read here. The scan waits for nothing that a user can make slow or endless. No user's task hides another user's
/// task. The scan reads no command line and no memory map, because both need the lock of the task's memory. The
/// scan looks up no file of a task.
public struct WriteHolderScan: Sendable {
    public struct Findings: Sendable {
        public fileprivate(set) var holders: [WriteHolder] = []
        /// False if time ran out before every task was checked.
        public fileprivate(set) var isComplete = true
    }

    /// A task that sleeps in a kernel function where a write can sleep.
    private struct Suspect: Sendable {
        let process: Int32
        let task: Int32
        let wait: KernelWait
        var directory: String { "\(process)/task/\(task)" }
    }

    /// Kernel data on a task, read under a lock that exec(2) holds.
    private struct Trace: Sendable {
        /// The line of proc_pid_syscall(5).
        let call: String
        /// The functions of proc_pid_stack(5); empty if not needed, or not shown by the kernel.
        let functions: [String]

        /// False if the kernel's functions show that the call is no write.
        var mayWrite: Bool {
            functions.isEmpty
                || functions.contains { function in
                    ["write", "splice", "sendfile", "copy_file"].contains { function.contains($0) }
                }
        }
    }

    /// The time limit for all traces. Most take microseconds.
    private static let tracePatience = Duration.milliseconds(500)
    /// A hanging trace occupies one thread. A user needs this many hanging tasks to hide another task.
    private static let traceThreads = 256
    private static let traceStackSize = 128 << 10
    /// The time limit for all mount tables of other namespaces.
    private static let mountTablePatience = Duration.milliseconds(300)

    private let paths: SystemPaths
    /// True before Linux 6.8: sendfile(2), copy_file_range(2) and an overlay's copy-up hold write access while
    /// reading (fs/splice.c: direct_splice_actor).
    private let holdsWhileReading: Bool

    public init(paths: SystemPaths = .live) {
        self.init(paths: paths, kernelRelease: Self.kernelRelease)
    }

    init(paths: SystemPaths, kernelRelease: String) {
        self.paths = paths
        let version = kernelRelease.split(whereSeparator: { $0 == "." || $0 == "-" }).prefix(2).compactMap {
            Int($0)
        }
        holdsWhileReading = version.lexicographicallyPrecedes([6, 8])
    }

    private static var kernelRelease: String {
        SmallFile.text("/proc/sys/kernel/osrelease") ?? ""
    }

    /// Blocks for some microseconds for each task, and for some milliseconds for each task asleep where a write
    /// can sleep.
    ///
    /// - Parameters:
    ///   - filesystems: Only writers to these filesystems count.
    ///   - deadline: When to stop.
    public func findings(on filesystems: [PlannedFilesystem], until deadline: Moment) -> Findings {
        var findings = Findings()
        guard !filesystems.isEmpty,
            let proc = (try? openDescriptor(paths.proc, .readOnly, options: .directory)).map(OwnedDescriptor.init)
        else { return findings }
        let suspects = suspects(in: proc.descriptor, until: deadline, &findings.isComplete)
        let traced = traces(of: suspects, in: proc, until: deadline, &findings.isComplete)
        guard !traced.isEmpty else { return findings }
        var look = Look(
            planned: Dictionary(filesystems.map { ($0.device, $0.mountPoint) }) { first, _ in first },
            paths: paths, proc: proc.descriptor, holdsWhileReading: holdsWhileReading,
            tableDeadline: min(deadline, .now + Self.mountTablePatience))
        // Tasks that need a mount table of another namespace come last: a user can make the table long.
        let open = traced.filter { suspect, trace in
            switch look.holder(suspect, trace, in: .ownTable) {
            case .holder(let holder):
                findings.holders.append(holder)
                return false
            case .none: return false
            case .foreign: return true
            }
        }
        for (suspect, trace) in open {
            if case .holder(let holder) = look.holder(suspect, trace, in: .everyTable) {
                findings.holders.append(holder)
            }
        }
        withExtendedLifetime(proc) {}
        return findings
    }

    /// Nearly every task drops out after the read of one file.
    private func suspects(
        in proc: FileDescriptor, until deadline: Moment, _ isComplete: inout Bool
    ) -> [Suspect] {
        var suspects: [Suspect] = []
        for process in numberedEntries(".", in: proc) {
            for task in numberedEntries("\(process)/task", in: proc) {
                guard Moment.now < deadline else {
                    isComplete = false
                    return suspects
                }
                let path = "\(process)/task/\(task)/wchan"
                if let function = readText(path, in: proc, capacity: 64),
                    let wait = KernelWait(function: function[...])
                {
                    suspects.append(Suspect(process: process, task: task, wait: wait))
                }
            }
        }
        return suspects
    }

    /// Returns the traces in the order of the suspects, without suspects in no system call, or not traceable.
    ///
    /// An exec(2) that closes a file of a FUSE server waits for the server while holding the lock (fs/proc/base.c:
    /// lock_trace; fs/exec.c: begin_new_exec). The task in exec(2) is the only task of the process, and is in no
    /// write.
    private func traces(
        of suspects: [Suspect], in proc: OwnedDescriptor, until deadline: Moment, _ isComplete: inout Bool
    ) -> [(suspect: Suspect, trace: Trace)] {
        let round = TraceRound(suspects)
        let work: @Sendable () -> Void = {
            while let (index, suspect) = round.begin() {
                round.end(index, trace(of: suspect, in: proc.descriptor, round))
            }
            withExtendedLifetime(proc) {}
        }
        let threads = Array(repeating: work, count: min(suspects.count, Self.traceThreads))
        let end = min(deadline, .now + Self.tracePatience)
        _ = AbandonableWork.run(threads, until: end, stackSize: Self.traceStackSize)
        return round.close(&isComplete)
    }

    /// The traces of one look, shared by the tracing threads.
    private final class TraceRound: Sendable {
        private struct State {
            var next = 0
            /// The indices of unfinished traces.
            var begun: Set<Int> = []
            var traces: [Int: Trace] = [:]
            var isClosed = false
        }

        /// Tasks with an unfinished trace of an earlier look: a hanging trace occupies one thread for all looks together.
        private static let abandoned = Mutex<Set<Int32>>([])

        private let suspects: [Suspect]
        private let state = Mutex(State())

        init(_ suspects: [Suspect]) {
            let hanging = Self.abandoned.withLock { $0 }
            self.suspects = suspects.filter { !hanging.contains($0.task) }
        }

        var isClosed: Bool { state.withLock { $0.isClosed } }

        /// The next suspect; nil after the last suspect, and after the end of the look.
        func begin() -> (index: Int, suspect: Suspect)? {
            state.withLock { state in
                guard !state.isClosed, state.next < suspects.count else { return nil }
                defer { state.next += 1 }
                state.begun.insert(state.next)
                return (state.next, suspects[state.next])
            }
        }

        func end(_ index: Int, _ trace: Trace?) {
            state.withLock { state in
                if state.isClosed {
                    Self.abandoned.withLock { _ = $0.remove(suspects[index].task) }
                } else {
                    state.begun.remove(index)
                    state.traces[index] = trace
                }
            }
        }

        /// Ends the look. Incomplete if a trace hangs, or for lack of threads or time.
        func close(_ isComplete: inout Bool) -> [(suspect: Suspect, trace: Trace)] {
            state.withLock { state in
                state.isClosed = true
                let hanging = state.begun.map { suspects[$0].task }
                Self.abandoned.withLock { $0.formUnion(hanging) }
                if !hanging.isEmpty || state.next < suspects.count { isComplete = false }
                return state.traces.sorted { $0.key < $1.key }.map { (suspects[$0.key], $0.value) }
            }
        }
    }

    private func trace(of suspect: Suspect, in proc: FileDescriptor, _ round: TraceRound) -> Trace? {
        guard let call = readText("\(suspect.directory)/syscall", in: proc, capacity: 256) else { return nil }
        let isAmbiguous = Self.number(of: call).flatMap(WritingCall.init)?.isAmbiguous ?? false
        guard suspect.wait == .page || holdsWhileReading || isAmbiguous else {
            return Trace(call: call, functions: [])
        }
        // An abandoned search opens nothing more: filesystems may be frozen by now (P7).
        if round.isClosed { return nil }
        // `[<0>] handle_mm_fault+0xd0/0x310`
        let lines = (readText("\(suspect.directory)/stack", in: proc, capacity: 8192) ?? "").split(separator: "\n")
        return Trace(
            call: call,
            functions: lines.compactMap { line in
                line.split(separator: " ").last.map { String($0.prefix { $0 != "+" && $0 != "." }) }
            })
    }

    /// Nil if the task is in no system call.
    private static func number(of call: String) -> Int? { call.split(separator: " ").first.flatMap { Int($0) } }

    /// One look. Data needed by several tasks is read once, for the first task.
    private struct Look {
        enum Scope { case ownTable, everyTable }

        enum Verdict {
            case none
            case holder(WriteHolder)
            /// The answer needs the mount table of another namespace.
            case foreign
        }

        let planned: [DeviceNumber: FilePath]
        let paths: SystemPaths
        let proc: FileDescriptor
        let holdsWhileReading: Bool
        /// The last moment to begin reading a mount table.
        let tableDeadline: Moment
        private lazy var ownMounts = (try? MountTable.read(paths.proc.appending("self/mountinfo"))) ?? []
        private lazy var kernelMounts = kernelMountIDs()
        private lazy var connections = FuseConnections(sysfs: paths.sysfs)
        /// The mount tables of other namespaces, by the namespace's link.
        private var tables: [String: [UInt8]] = [:]

        init(
            planned: [DeviceNumber: FilePath], paths: SystemPaths, proc: FileDescriptor, holdsWhileReading: Bool,
            tableDeadline: Moment
        ) {
            self.planned = planned
            self.paths = paths
            self.proc = proc
            self.holdsWhileReading = holdsWhileReading
            self.tableDeadline = tableDeadline
        }

        // MARK: A task

        mutating func holder(_ suspect: Suspect, _ trace: Trace, in scope: Scope) -> Verdict {
            let directory = suspect.directory
            let fields = trace.call.split(separator: " ")
            guard let number = WriteHolderScan.number(of: trace.call) else { return .none }
            var file: FilePath?
            var mountPoint: FilePath?
            var position: UInt64?
            if let writing = WritingCall(number: number) {
                if suspect.wait == .mutex, !writing.isSplice { return .none }
                if writing.isAmbiguous, !trace.mayWrite { return .none }
                if writing.readsFile, !holdsWhileReading { return .none }
                guard let value = argument(writing.argument, of: fields) else { return .none }
                let descriptor = Int32(truncatingIfNeeded: value)
                let information = FileInformation(read("\(directory)/fdinfo/\(descriptor)", 1024) ?? "")
                switch target(information.mountID, directory, in: scope) {
                case .planned(let found): mountPoint = found
                case .another: return .none
                case .foreign: return .foreign
                }
                if suspect.wait == .page, !waitsForServer(trace, writing) { return .none }
                if !hasOwnPosition(writing, fields) { position = information.position }
                file = try? readSymbolicLink(paths.proc.appending("\(directory)/fd/\(descriptor)"))
            } else {
                guard holdsWhileReading, suspect.wait == .server || suspect.wait == .page,
                    trace.functions.contains(where: { $0.hasPrefix("ovl_copy_up") })
                else { return .none }
            }
            guard let status = status(directory) else { return .none }
            let isWithServer = suspect.wait == .server || suspect.wait == .page
            let fuseMounts = isWithServer ? mounts(of: directory, withID: nil) ?? [] : []
            return .holder(
                WriteHolder(
                    processID: suspect.process, command: read("\(suspect.process)/comm", 64) ?? "?",
                    userID: status.user, file: file, mountPoint: mountPoint,
                    connection: isWithServer
                        ? connections.awaited(by: status.user, in: fuseMounts, besides: ownMounts) : nil,
                    write: .init(
                        threadID: suspect.task, systemCall: trace.call, progress: position ?? status.switches)))
        }

        private func argument(_ place: Int, of fields: [Substring]) -> UInt64? {
            fields.count > place + 1 ? UInt64(fields[place + 1].dropFirst(2), radix: 16) : nil
        }

        /// True if the call keeps its position in the task's memory: splice(2) and copy_file_range(2), with an offset.
        private func hasOwnPosition(_ writing: WritingCall, _ fields: [Substring]) -> Bool {
            writing.argument == 2 && argument(3, of: fields) != 0
        }

        /// Fields of proc_pid_fdinfo(5). Both nil if the descriptor was closed meanwhile; the close does not end
        /// the write.
        private struct FileInformation {
            var position: UInt64?
            var mountID: UInt64?

            init(_ text: String) {
                for line in text.split(separator: "\n") {
                    let fields = line.split(whereSeparator: \.isWhitespace)
                    guard fields.count > 1 else { continue }
                    if fields[0] == "pos:" { position = UInt64(fields[1]) }
                    if fields[0] == "mnt_id:" { mountID = UInt64(fields[1]) }
                }
            }
        }

        private func status(_ directory: String) -> (user: UInt32, switches: UInt64)? {
            let status = ProcessStatusFile(read("\(directory)/status", 8192) ?? "")
            // The effective user, as in ps(1).
            guard let user = status["Uid"].dropFirst().first.flatMap({ UInt32($0) }),
                let switches = status["voluntary_ctxt_switches"].first.flatMap({ UInt64($0) })
            else { return nil }
            return (user, switches)
        }

        // MARK: The target of a write

        private enum Target {
            /// Nil if the write may go to any planned filesystem.
            case planned(FilePath?)
            case another
            case foreign
        }

        private mutating func target(_ mountID: UInt64?, _ directory: String, in scope: Scope) -> Target {
            guard let mountID else { return .planned(nil) }
            if let mount = ownMounts.first(where: { $0.mountID == mountID }) { return target(on: mount) }
            if kernelMounts.contains(mountID) { return .another }
            guard scope == .everyTable else { return .foreign }
            let mount = mounts(of: directory, withID: mountID)?.first
            // The mount is in no table (detached, or unmounted lazily), or in a table not read in time.
            return mount.map { target(on: $0) } ?? .planned(nil)
        }

        private mutating func target(on mount: MountEntry) -> Target {
            if let mountPoint = planned[mount.device] { return .planned(mountPoint) }
            guard mount.kind == .stacked else { return .another }
            // The options of an overlay mounted by a user may name any path.
            guard let known = ownMounts.first(where: { $0.device == mount.device }),
                let upper = known.superblockOptions.path("upperdir"), upper.isAbsolute,
                let host = MountIndex(ownMounts).mount(holding: upper, where: { $0.device != known.device })
            else { return .planned(nil) }
            if let mountPoint = planned[host.device] { return .planned(mountPoint) }
            return host.kind == .stacked ? .planned(nil) : .another
        }

        /// The mount with the given id in the task's namespace, or all FUSE mounts for nil. Returns nil if no time
        /// was left for the table.
        private mutating func mounts(of directory: String, withID mountID: UInt64?) -> [MountEntry]? {
            guard let table = table(of: directory) else { return nil }
            let prefix = mountID.map { Array("\($0) ".utf8) }
            var wanted: [UInt8] = []
            var count = 0
            for line in table.split(separator: UInt8(ascii: "\n")) where count < Self.mostLines {
                guard prefix.map({ line.starts(with: $0) }) ?? line.contains(Self.fuse) else { continue }
                wanted += line + [UInt8(ascii: "\n")]
                count += 1
            }
            return (try? MountTable.parse(wanted, name: paths.proc.appending("\(directory)/mountinfo"))) ?? []
        }

        private static let fuse = Array(" - fuse".utf8)
        /// A user can have any number of FUSE mounts.
        private static let mostLines = 1000

        /// Read once for all tasks of a namespace.
        private mutating func table(of directory: String) -> [UInt8]? {
            let link = try? readSymbolicLink(paths.proc.appending("\(directory)/ns/mnt")).string
            if let known = tables[link ?? directory] { return known }
            guard Moment.now < tableDeadline,
                let watch = try? MountTableWatch(paths.proc.appending("\(directory)/mountinfo")),
                let bytes = try? watch.bytes(attempts: 1, until: tableDeadline)
            else { return nil }
            tables[link ?? directory] = bytes
            return bytes
        }

        // MARK: The cause of a wait

        /// True if the awaited page is data to write, possibly from a FUSE server. An ordinary writer waits for
        /// pages of the written file, or of another local file.
        private mutating func waitsForServer(_ trace: Trace, _ call: WritingCall) -> Bool {
            if connections.waiting?.isEmpty == true { return false }
            if trace.functions.contains("handle_mm_fault") { return true }
            return call.readsFile && trace.functions.contains("filemap_splice_read")
        }

        private func read(_ path: String, _ capacity: Int) -> String? {
            readText(path, in: proc, capacity: capacity)
        }
    }
}
