import LinuxSystem
import SystemPackage

extension Configuration {
    /// Checks that nobody but root can change the configuration file, or what the paths in it lead to.
    ///
    /// Apart from ``load(from:)``, because a file under test need not be trusted. Of the socket and the device
    /// only the directories are checked: who may open these two is what their modes are for. What does not
    /// exist yet is trusted if all directories above it are. Blocks as lstat(2) does.
    ///
    /// - Parameter file: The file the configuration was loaded from; nil for ``defaultFile``, which may be
    ///   absent.
    public func verifyTrust(of file: FilePath?) throws(TrustError) {
        try TrustCheck.verify(file ?? Self.defaultFile, mayBeMissing: file == nil)
        for path in [hooks.directory, paths.run, paths.state] {
            try TrustCheck.verify(path, mayBeMissing: true)
        }
        for path in [control.socket, hyperv.device] {
            try TrustCheck.verify(path.removingLastComponent(), mayBeMissing: true)
        }
    }
}
