import LinuxSystem
import SystemPackage

extension Configuration {
    /// Checks that nobody but root can change a configuration file. To be called before ``load(from:)``: what is read
    /// then is what was verified, and no FUSE server is asked. Apart from it, because a file under test need not be
    /// trusted. Blocks as fstat(2) does.
    ///
    /// - Parameter file: Nil for ``defaultFile``. It may be missing, if nobody else can make it: whether it must be there
    ///   is for ``load(from:)`` to say.
    public static func verifyTrust(of file: FilePath?) throws(TrustError) {
        try TrustCheck.verify(file ?? defaultFile, mayBeMissing: true)
    }

    /// Checks that nobody but root can change what the paths in it lead to.
    ///
    /// Of the socket and the device only the directories are checked: who may open these two is what their modes are
    /// for. What does not exist yet is trusted if nobody else can make it. Blocks as fstat(2) does.
    public func verifyTrustOfPaths() throws(TrustError) {
        for path in [hooks.directory, paths.run, paths.state] {
            try TrustCheck.verify(path, mayBeMissing: true)
        }
        for path in [control.socket, hyperv.device] {
            try TrustCheck.verify(path.removingLastComponent(), mayBeMissing: true)
        }
    }
}
