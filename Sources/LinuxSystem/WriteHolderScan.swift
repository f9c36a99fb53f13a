import FreezeCore
import LinuxCalls
import SystemPackage

/// Looks through /proc for tasks that sleep inside a write to a filesystem, for what only another process can give them.
///
/// A FIFREEZE waits for such a write (fs/super.c: sb_wait_write), and for as long. Nothing here waits for a task: no
/// command line and no map is read, which need the lock of its memory, and no file of it is looked up.
public struct WriteHolderScan: Sendable {
    public struct Findings: Sendable {
        public fileprivate(set) var holders: [WriteHolder] = []
        /// False if there was no time to look at every task.
        public fileprivate(set) var isComplete = true
    }

    /// More would be the same user's, and no help.
    private static let mostHolders = 64
    /// For the mount table of one task.
    private static let mountTablePatience = Duration.milliseconds(300)

    private let paths: SystemPaths
    /// Whether sendfile(2), copy_file_range(2) and an overlay's copy-up hold write access while they read. Since Linux
    /// 6.8 they do not (fs/splice.c: direct_splice_actor).
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

    /// Blocks for some microseconds for each task.
    ///
    /// - Parameters:
    ///   - filesystems: Whose writers count.
    ///   - deadline: When to stop.
    public func findings(on filesystems: [PlannedFilesystem], until deadline: Moment) -> Findings {
        var findings = Findings()
        guard !filesystems.isEmpty, let proc = try? openDescriptor(paths.proc, .readOnly, options: .directory)
        else {
            return findings
        }
        defer { try? proc.close() }
        var look = Look(
            planned: Dictionary(filesystems.map { ($0.device, $0.mountPoint) }) { first, _ in first },
            paths: paths, proc: proc, holdsWhileReading: holdsWhileReading)
        for process in numberedEntries(".", in: proc) {
            for task in numberedEntries("\(process)/task", in: proc) {
                guard Moment.now < deadline, findings.holders.count < Self.mostHolders else {
                    findings.isComplete = findings.holders.count >= Self.mostHolders
                    return findings
                }
                if let holder = look.holder(process, task) {
                    findings.holders.append(holder)
                }
            }
        }
        return findings
    }

    /// One look: what is read for the first task that needs it, is read once.
    private struct Look {
        let planned: [DeviceNumber: FilePath]
        let paths: SystemPaths
        let proc: FileDescriptor
        let holdsWhileReading: Bool
        private lazy var ownMounts = (try? MountTable.read(paths.proc.appending("self/mountinfo"))) ?? []
        private lazy var kernelMounts = kernelMountIDs()
        private lazy var connections = FuseConnections(sysfs: paths.sysfs)

        init(
            planned: [DeviceNumber: FilePath], paths: SystemPaths, proc: FileDescriptor, holdsWhileReading: Bool
        ) {
            self.planned = planned
            self.paths = paths
            self.proc = proc
            self.holdsWhileReading = holdsWhileReading
        }

        // MARK: A task

        /// Nearly every task drops out at its first file.
        mutating func holder(_ process: Int32, _ task: Int32) -> WriteHolder? {
            let directory = "\(process)/task/\(task)"
            guard let function = read("\(directory)/wchan", 64), let wait = KernelWait(function: function[...]),
                let call = read("\(directory)/syscall", 256)
            else { return nil }
            let fields = call.split(separator: " ")
            guard let number = fields.first.flatMap({ Int($0) }) else { return nil }
            let file: String?
            let mountPoint: FilePath?
            if let writing = WritingCall(number: number) {
                if wait == .mutex, !writing.isSplice { return nil }
                if writing.readsFile, !holdsWhileReading { return nil }
                let place = writing.argument + 1
                guard fields.count > place, let value = UInt64(fields[place].dropFirst(2), radix: 16) else {
                    return nil
                }
                let descriptor = Int32(truncatingIfNeeded: value)
                guard case .planned(let found) = target(of: descriptor, directory) else { return nil }
                if wait == .page, !waitsForServer(directory, writing) { return nil }
                mountPoint = found
                file = (try? readSymbolicLink(paths.proc.appending("\(directory)/fd/\(descriptor)")))?.string
            } else {
                guard holdsWhileReading, wait == .server || wait == .page, isCopyingUp(directory) else {
                    return nil
                }
                (file, mountPoint) = (nil, nil)
            }
            guard let status = status(directory) else { return nil }
            let isWithServer = wait == .server || wait == .page
            return WriteHolder(
                processID: process, command: read("\(process)/comm", 64) ?? "?", userID: status.user,
                file: file.map { FilePath($0) }, mountPoint: mountPoint,
                connection: isWithServer ? connections.awaited(in: mounts(of: directory)) : nil,
                sleep: .init(
                    threadID: task, switches: status.switches, function: function, systemCall: call))
        }

        private func status(_ directory: String) -> (user: UInt32, switches: UInt64)? {
            var user: UInt32?
            var switches: UInt64?
            for line in (read("\(directory)/status", 8192) ?? "").split(separator: "\n") {
                let fields = line.split(whereSeparator: \.isWhitespace)
                // The effective one, as ps(1) shows it.
                if fields.first == "Uid:", fields.count > 2 { user = UInt32(fields[2]) }
                if fields.first == "voluntary_ctxt_switches:", fields.count > 1 { switches = UInt64(fields[1]) }
            }
            guard let user, let switches else { return nil }
            return (user, switches)
        }

        // MARK: What is written to

        private enum Target {
            /// Nil if it may be any of them.
            case planned(FilePath?)
            case another
        }

        private mutating func target(of descriptor: Int32, _ directory: String) -> Target {
            let lines = read("\(directory)/fdinfo/\(descriptor)", 1024)?.split(separator: "\n") ?? []
            guard let line = lines.first(where: { $0.hasPrefix("mnt_id:") }),
                let mountID = line.split(whereSeparator: \.isWhitespace).last.flatMap({ UInt64($0) })
            else {
                // Closed meanwhile, which does not end the write.
                return .planned(nil)
            }
            if let mount = ownMounts.first(where: { $0.mountID == mountID }) { return target(on: mount) }
            if kernelMounts.contains(mountID) { return .another }
            let foreign = mounts(of: directory, including: mountID).first { $0.mountID == mountID }
            // A mount that is in no table: detached, or unmounted lazily.
            return foreign.map { target(on: $0) } ?? .planned(nil)
        }

        private mutating func target(on mount: MountEntry) -> Target {
            if let mountPoint = planned[mount.device] { return .planned(mountPoint) }
            guard mount.kind == .stacked else { return .another }
            // Where a user has mounted an overlay, its options may name any path.
            guard let known = ownMounts.first(where: { $0.device == mount.device }),
                let upper = known.superblockOptions.path("upperdir"), upper.isAbsolute,
                let host = MountIndex(ownMounts).mount(holding: upper, where: { $0.device != known.device })
            else { return .planned(nil) }
            if let mountPoint = planned[host.device] { return .planned(mountPoint) }
            return host.kind == .stacked ? .planned(nil) : .another
        }

        /// Of the task's mount table the line of this mount, and those of FUSE filesystems. A user can make a table that
        /// takes seconds to read: then what was not found in time may be anything.
        private func mounts(of directory: String, including mountID: UInt64? = nil) -> [MountEntry] {
            let path = paths.proc.appending("\(directory)/mountinfo")
            guard let descriptor = try? openDescriptor(path, .readOnly) else { return [] }
            defer { try? descriptor.close() }
            let deadline = Moment.now + WriteHolderScan.mountTablePatience
            let prefix = mountID.map { Array("\($0) ".utf8) }
            let type = Array(" - fuse".utf8)
            var wanted: [UInt8] = []
            var rest: [UInt8] = []
            while Moment.now < deadline, let bytes = try? readOnce(descriptor, atMost: 65_536), !bytes.isEmpty {
                rest += bytes
                while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                    let line = rest[...end]
                    let isWanted = prefix.map { line.starts(with: $0) } ?? false
                    if isWanted || line.contains(type) { wanted += line }
                    rest.removeSubrange(...end)
                }
            }
            return (try? MountTable.parse(wanted, name: path)) ?? []
        }

        // MARK: What is waited for

        /// Whether the page is one of the data to write, and a FUSE server may be the one to send it: an ordinary writer
        /// waits for pages of the file it writes to, or of another local one.
        private mutating func waitsForServer(_ directory: String, _ call: WritingCall) -> Bool {
            if connections.waiting?.isEmpty == true { return false }
            let functions = stack(directory)
            if functions.contains("handle_mm_fault") { return true }
            return call.readsFile && functions.contains("filemap_splice_read")
        }

        private func isCopyingUp(_ directory: String) -> Bool {
            stack(directory).contains { $0.hasPrefix("ovl_copy_up") }
        }

        /// The functions of proc_pid_stack(5): `[<0>] handle_mm_fault+0xd0/0x310`. Empty if the kernel does not tell.
        private func stack(_ directory: String) -> [Substring] {
            (read("\(directory)/stack", 8192) ?? "").split(separator: "\n").compactMap { line in
                line.split(separator: " ").last?.prefix { $0 != "+" && $0 != "." }
            }
        }

        private func read(_ path: String, _ capacity: Int) -> String? {
            readText(path, in: proc, capacity: capacity)
        }
    }
}
