import FreezeCore
import SystemPackage

extension Configuration {
    /// The latest moment, counted from its arrival, at which FREEZE may still be answered. The Hyper-V driver
    /// gives up after 900 s (VSS_FREEZE_TIMEOUT, drivers/hv/hv_snapshot.c) and takes a late answer for the
    /// answer to its next operation, so 30 s are kept free.
    public static let freezeAnswerLimit = Duration.seconds(870)

    /// What is kept free for making the plan, before anything else.
    public static let planTimeout = Duration.seconds(10)

    /// Nothing that needs writable filesystems lives much longer: remote clients give up, and watchdogs bite.
    static let longestWindow = Duration.seconds(600)

    /// The longest that FREEZE can take with these budgets: planning, two flushes, the hooks, and the freezing.
    public var worstCaseFreeze: Duration {
        Self.planTimeout + freeze.flushTimeout + hooks.totalTimeout + freeze.flushTimeout + freeze.timeout
    }

    func checkBudget(in document: ConfigurationDocument) throws(ConfigurationError) {
        guard worstCaseFreeze > Self.freezeAnswerLimit else { return }
        let flush = DurationText.text(freeze.flushTimeout)
        let hooks = DurationText.text(hooks.totalTimeout)
        let timeout = DurationText.text(freeze.timeout)
        // The place of the largest part: the one to look at first.
        let parts = [
            ("freeze.flush_timeout", freeze.flushTimeout + freeze.flushTimeout),
            ("hooks.total_timeout", self.hooks.totalTimeout), ("freeze.timeout", freeze.timeout),
        ]
        let largest = parts.max { $0.1 < $1.1 }?.0 ?? "freeze.flush_timeout"
        throw document.error(
            largest,
            problem: """
                planning (\(DurationText.text(Self.planTimeout))) + freeze.flush_timeout (twice \(flush)) + \
                hooks.total_timeout (\(hooks)) + freeze.timeout (\(timeout)) add up to \
                \(DurationText.text(worstCaseFreeze)), more than the \
                \(DurationText.text(Self.freezeAnswerLimit)) within which FREEZE must be answered: the Hyper-V host \
                gives up after 900s
                """,
            remedy: "Lower them until the sum fits")
    }

    func checkWindow(in document: ConfigurationDocument) throws(ConfigurationError) {
        guard freeze.maxWindow <= Self.longestWindow else {
            throw document.error(
                "freeze.max_window",
                problem:
                    "\(DurationText.text(freeze.maxWindow)) is longer than applications can be kept from writing",
                remedy: "Write at most \"\(DurationText.text(Self.longestWindow))\"")
        }
        // The window begins with the first freeze, so it has to hold the freezing of all of them and the snapshot.
        guard freeze.maxWindow > freeze.timeout else {
            throw document.error(
                "freeze.max_window",
                problem: """
                    \(DurationText.text(freeze.maxWindow)) is not longer than freeze.timeout \
                    (\(DurationText.text(freeze.timeout))), so the window could end before everything is frozen
                    """,
                remedy: "Raise freeze.max_window or lower freeze.timeout")
        }
    }

    func checkAvailability(in document: ConfigurationDocument) throws(ConfigurationError) {
        guard filesystems.mountNamespaces == .own else {
            throw document.error(
                "filesystems.mount_namespaces", problem: "\"all\" is not available in this version",
                remedy: "Write \"own\"")
        }
    }

    func checkSelectors(in document: ConfigurationDocument) throws(ConfigurationError) {
        for (key, texts) in [("include", filesystems.include), ("exclude", filesystems.exclude)] {
            for text in texts {
                do throws(FilesystemSelector.ParseError) {
                    _ = try FilesystemSelector(parsing: text)
                } catch {
                    throw document.error(
                        "filesystems.\(key)", problem: "\(error.subject): \(error.problem)",
                        remedy: error.remedy)
                }
            }
        }
    }

    func checkSocket(in document: ConfigurationDocument) throws(ConfigurationError) {
        // sun_path holds 108 bytes, the last of them zero (unix(7)).
        let limit = 107
        guard control.socket.string.utf8.count <= limit else {
            throw document.error(
                "control.socket", problem: "it is longer than the \(limit) bytes that a socket's name may have",
                remedy: "Choose a shorter path")
        }
    }
}
