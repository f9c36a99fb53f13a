import SystemPackage

/// What an errno of FIFREEZE means, and what to do, in the words of the report.
func freezeProblem(_ error: Errno) -> String {
    switch error {
    case .resourceBusy:
        "it is frozen already, by somebody else; find out who (another backup agent?) before thawing it with "
            + "`fsfreeze -u`"
    case .notSupportedOnSocket:
        "its filesystem cannot be frozen; exclude it, or set `filesystems.unfreezable`"
    case .notPermitted:
        "freezing is not permitted; quiesced needs root with CAP_SYS_ADMIN"
    case .ioError:
        "flushing it failed (EIO); look at the kernel's log for errors of its device"
    case .readOnlyFileSystem:
        "it has turned read-only, most likely after an error; look at the kernel's log"
    case .canceled:
        "it was not frozen: the freezer had given up already"
    default:
        "freezing it failed: \(error)"
    }
}
