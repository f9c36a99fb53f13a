import FreezeCore
import SystemPackage

extension Configuration {
    /// Nothing that needs writable filesystems lives much longer: remote clients give up, and watchdogs bite.
    static let longestWindow = Duration.seconds(600)

    func checkBudget(in document: ConfigurationDocument) throws(ConfigurationError) {
        let policy = RequestPolicy(self)
        guard let limit = policy.shortestFreezeAnswerLimit, policy.longestFreeze > limit else { return }
        let flush = DurationText.text(freeze.flushTimeout)
        let hooks = DurationText.text(hooks.totalTimeout)
        let timeout = DurationText.text(freeze.timeout)
        // The place of the largest part: the one to look at first.
        let parts = [
            ("freeze.flush_timeout", freeze.flushTimeout + freeze.flushTimeout),
            ("hooks.total_timeout", self.hooks.totalTimeout), ("freeze.timeout", freeze.timeout + freeze.timeout),
        ]
        let largest = parts.max { $0.1 < $1.1 }?.0 ?? "freeze.flush_timeout"
        throw document.error(
            largest,
            problem: """
                planning (\(DurationText.text(policy.planTimeout))) + freeze.flush_timeout (twice \(flush)) + \
                hooks.total_timeout (\(hooks)) + freeze.timeout (twice \(timeout)) add up to \
                \(DurationText.text(policy.longestFreeze)), more than the \
                \(DurationText.text(limit)) within which FREEZE must be answered: the Hyper-V host \
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
        let windows = [("freeze.max_window", freeze.maxWindow), ("qemu.max_window", qemu.maxWindow)]
        for (key, window) in windows where window <= freeze.timeout {
            throw document.error(
                key,
                problem: """
                    \(DurationText.text(window)) is not longer than freeze.timeout \
                    (\(DurationText.text(freeze.timeout))), so the window could end before everything is frozen
                    """,
                remedy: "Raise \(key) or lower freeze.timeout")
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

    func checkVsock(in document: ConfigurationDocument) throws(ConfigurationError) {
        guard vsock.access == .status || !vsock.tokenFile.isEmpty else {
            throw document.error(
                "vsock.access", problem: "\"control\" needs a token, and vsock.token_file names no file",
                remedy: "Set vsock.token_file, or write \"status\"")
        }
    }
}
