import Configuration
import FreezeCore

extension RequestPolicy {
    /// The limits of the configuration.
    public init(_ configuration: Configuration) {
        self.init()
        planTimeout = Configuration.planTimeout
        freezeTimeout = configuration.freeze.timeout
        maxWindow = configuration.freeze.maxWindow
        flushTimeout = configuration.freeze.flushTimeout
        hookTimeout = configuration.hooks.timeout
        hooksTotalTimeout = configuration.hooks.totalTimeout
        onHookFailure = configuration.hooks.onFailure == .abort ? .abort : .proceed
        freezeAnswerLimit = Configuration.freezeAnswerLimit
    }
}

extension PlanPolicy {
    /// The choices of the configuration.
    ///
    /// - Throws: `FilesystemSelector.ParseError` that names the selector.
    public init(_ configuration: Configuration) throws(FilesystemSelector.ParseError) {
        self.init()
        for text in configuration.filesystems.include { include.append(try FilesystemSelector(parsing: text)) }
        for text in configuration.filesystems.exclude { exclude.append(try FilesystemSelector(parsing: text)) }
        unfreezable = configuration.filesystems.unfreezable == .sync ? .sync : .fail
    }
}
