import Glibc
import LinuxCalls
import SystemPackage

/// How far one superblock is on its way through a request.
public enum SuperblockState: UInt8, Sendable, CaseIterable {
    /// Nothing was done to it.
    case planned = 1
    /// FIFREEZE was issued and has not returned, or its process died in it.
    case freezing = 2
    /// FIFREEZE succeeded: it is frozen, by us.
    case frozen = 3
    /// Somebody won the right to thaw it and is at it.
    case thawing = 4
    /// It is not frozen by us any more.
    case thawed = 5
    /// FIFREEZE failed: it was never frozen by us.
    case refused = 6

    /// Whether nothing of ours can be left in the superblock.
    public var isSettled: Bool { self == .planned || self == .thawed || self == .refused }
}

/// The atomic word of one superblock: its state and the life of the process that brought it there.
///
/// All of it is one word so that a change of state and its author can never be torn apart.
public struct LedgerWord: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt64

    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// A process id needs 22 bits (PID_MAX_LIMIT, include/linux/threads.h); 34 bits of clock ticks are five years
    /// of uptime at 100 Hz, and then wrap in both of the words that are compared.
    public init(_ state: SuperblockState, by process: ProcessIdentity) {
        let process = process.asStored
        rawValue =
            UInt64(state.rawValue) << 56 | UInt64(UInt32(bitPattern: process.processID)) << 34 | process.startTicks
    }

    /// Nil if the word is not one of ours.
    public var state: SuperblockState? { SuperblockState(rawValue: UInt8(rawValue >> 56)) }

    public var process: ProcessIdentity {
        ProcessIdentity(
            processID: pid_t(truncatingIfNeeded: rawValue >> 34 & 0x3F_FFFF), startTicks: rawValue & 0x3_FFFF_FFFF)
    }
}

extension ProcessIdentity {
    /// The same life of a process, as much of it as a ledger's word holds.
    public var asStored: ProcessIdentity {
        ProcessIdentity(processID: processID & 0x3F_FFFF, startTicks: startTicks & 0x3_FFFF_FFFF)
    }

    /// Whether the process still runs code of its own. A killed process with threads hanging in the kernel does
    /// not. A process counts as alive if the look-up fails for lack of descriptors or memory.
    public var isAlive: Bool {
        do throws(Errno) {
            return try openStored()?.isDying == false
        } catch {
            return true
        }
    }

    /// The process that a ledger's word names; nil if this life of it has ended. A zombie whose last thread is gone
    /// has ended.
    ///
    /// - Throws: Why that cannot be told: EMFILE, ENFILE, ENOMEM.
    public func openStored() throws(Errno) -> ProcessHandle? {
        guard processID > 0, let now = try ProcessIdentity.lookUp(processID), now.asStored == asStored,
            let handle = try ProcessHandle.open(now), !handle.hasEnded
        else { return nil }
        return handle
    }
}
