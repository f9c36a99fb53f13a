import Configuration
import FreezeCore
import Glibc
import LinuxSystem
import SystemPackage

/// The configuration is accepted, and only root can change the file and the paths in the file.
enum ConfigurationCheck {
    static let name = "configuration"

    static func finding(for error: ConfigurationError) -> Finding { Finding(name, .error, error) }

    static func findings(_ subject: CheckSubject) -> [Finding] {
        let file = subject.configurationFile
        do {
            try Configuration.verifyTrust(of: file)
            try subject.configuration.verifyTrustOfPaths()
            _ = try subject.configuration.readToken()
        } catch let error as any ActionableError {
            return [Finding(name, .error, error)]
        } catch {
            return [Finding(name, .error, "\(error)")]
        }
        let path = file ?? Configuration.defaultFile
        let isThere = access(path.string, F_OK) == 0
        return [
            Finding(
                name, .ok,
                isThere
                    ? "\(path.escaped) is right, and only root can change it."
                    : "There is no \(path.escaped): every key has its default.")
        ]
    }
}
