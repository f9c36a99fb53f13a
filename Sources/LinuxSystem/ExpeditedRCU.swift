import FreezeCore
import Glibc
import LinuxCalls
import Synchronization
import SystemPackage

/// The kernel's setting that has it hurry with grace periods of RCU (kernel/ksysfs.c: `rcu_expedited`).
///
/// Every FIFREEZE waits for one (fs/super.c: `sb_wait_write`), while writers wait for it: some tens of milliseconds.
/// Hurried, at the price of an interrupt for each processor, it is a small part of one. So the setting is on while
/// filesystems are being frozen, and never longer.
public final class ExpeditedRCU: Sendable {
    private let file: FileDescriptor
    /// Whether it was turned on here.
    private let isOurs = Mutex(false)

    /// Nil where there is no such setting, or it cannot be changed.
    public init?(paths: SystemPaths = .live) {
        do throws(Errno) {
            file = try openDescriptor(paths.sysfs.appending("kernel/rcu_expedited"), .readWrite)
        } catch {
            return nil
        }
    }

    deinit {
        end()
        try? file.close()
    }

    /// Turns it on; not if it is on already, as an admin may want it. Never blocks.
    ///
    /// - Parameter willTurnOn: Called before that, if it is.
    public func begin(_ willTurnOn: () -> Void = {}) {
        isOurs.withLock { isOurs in
            var digit: UInt8 = 0
            guard !isOurs, pread(file.rawValue, &digit, 1, 0) == 1, digit == UInt8(ascii: "0") else { return }
            willTurnOn()
            isOurs = set("1")
        }
    }

    /// Turns it off if it was turned on here. Never blocks.
    public func end() {
        isOurs.withLock { isOurs in
            if isOurs { isOurs = !set("0") }
        }
    }

    /// Turns it off for one who turned it on, and died.
    public static func endForTheDead(paths: SystemPaths = .live) {
        _ = ExpeditedRCU(paths: paths)?.set("0")
    }

    private func set(_ digit: Unicode.Scalar) -> Bool {
        var byte = UInt8(ascii: digit)
        return pwrite(file.rawValue, &byte, 1, 0) == 1
    }
}
