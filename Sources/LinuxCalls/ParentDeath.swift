import CLinux
import SystemPackage

/// Notice of the end of the thread that started the process (PR_SET_PDEATHSIG, prctl(2)).
///
/// The connection to a killed parent does not always end: while a thread of the parent hangs in the kernel, all
/// descriptors of the parent stay open.
public enum ParentDeath {
    /// - Returns: An event, readable after the thread has ended. To be called once, by the main thread.
    /// - Throws: EMFILE or ENFILE without a descriptor.
    public static func event() throws(Errno) -> WakeUp {
        let event = try WakeUp()
        try Errno.check(clinux_catch_parent_death(event.descriptor.rawValue))
        return event
    }
}
