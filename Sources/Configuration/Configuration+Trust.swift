import LinuxSystem
import SystemPackage

extension Configuration {
    /// Verifies that only root can change a configuration file. Call before ``load(from:)``: loading then reads
    /// the verified file and waits for no FUSE server. Separate from ``load(from:)``, because a file under test
    /// need not be trusted. Blocks like fstat(2).
    ///
    /// - Parameter file: Nil for ``defaultFile``. A missing file passes if only root can create the file;
    ///   ``load(from:)`` decides whether the file is required.
    public static func verifyTrust(of file: FilePath?) throws(TrustError) {
        try TrustCheck.verify(file ?? defaultFile, mayBeMissing: true)
    }

    /// Verifies that only root can change the files and directories that the configured paths lead to.
    ///
    /// For the socket and the device, only the directories are checked: the mode of the socket or device defines
    /// the permitted users. A missing file is trusted if only root can create the file. Blocks like fstat(2).
    public func verifyTrustOfPaths() throws(TrustError) {
        for path in [hooks.directory, paths.run, paths.state] {
            try TrustCheck.verify(path, mayBeMissing: true)
        }
        for path in [control.socket, hyperv.device] {
            try TrustCheck.verify(path.removingLastComponent(), mayBeMissing: true)
        }
    }
}
