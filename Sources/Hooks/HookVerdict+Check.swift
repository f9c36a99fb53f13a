extension HookVerdict {
    /// Looks at one hook. Blocks as stat(2) does.
    ///
    /// What is wrong with a hook is never a reason to leave it out in silence: an application would then be
    /// missing from the backup without a word.
    static func check(_ hook: Hook) -> HookVerdict {
        do throws(HookRefusal) {
            _ = try hook.verify()
            return .trusted
        } catch {
            return .refused(reason: error.reason)
        }
    }
}
