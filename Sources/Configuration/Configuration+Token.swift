import FreezeCore
import Glibc
import LinuxSystem
import SystemPackage

/// The valid ports (vsock(7)): not 0, and not VMADDR_PORT_ANY. Only root of the listening machine can bind a port below
/// 1024.
enum VsockPorts {
    static let all = 1...Int(UInt32.max) - 1
}

extension Configuration {
    /// The most bytes read: more than a token can have.
    private static let tokenFileLimit = 4096

    /// The secret files in use.
    var tokenFiles: [FilePath] { vsock.enabled == .off || vsock.tokenFile.isEmpty ? [] : [vsock.tokenFile] }

    /// Reads the token for the host. Call after ``verifyTrustOfPaths()``. Blocks as open(2) and read(2) do.
    ///
    /// - Returns: Nil without `vsock.token_file`, or if vsock is disabled.
    /// - Throws: ``TrustError`` for a file that users can read, ``ConfigurationError`` for a file without a usable token.
    public func readToken() throws -> AccessToken? {
        guard let file = tokenFiles.first else { return nil }
        let failure = { (problem: String, remedy: String?) in
            ConfigurationError(file: file, problem: problem, remedy: remedy)
        }
        let descriptor: FileDescriptor
        do {
            // Nonblocking: a FIFO in place of the file must not block the start.
            descriptor = try FileDescriptor.open(file, .readOnly, options: [.closeOnExec, .nonBlocking])
        } catch let errno as Errno {
            throw failure("the token cannot be read: \(errno)", Self.remedy)
        }
        return try descriptor.closeAfter {
            // The checks and the read use the same descriptor.
            var status = stat()
            guard fstat(descriptor.rawValue, &status) == 0 else {
                throw failure("the token cannot be read: \(Errno(rawValue: errno))", nil)
            }
            guard status.st_mode & S_IFMT == S_IFREG else {
                throw failure("the token's file is not a regular file", Self.remedy)
            }
            guard status.st_uid == 0 else {
                throw TrustError(path: file, culprit: file, finding: .notOwnedByRoot(owner: status.st_uid))
            }
            // The group's bits include the permissions of an access control list (acl(5)).
            guard status.st_mode & 0o077 == 0 else {
                throw TrustError(path: file, culprit: file, finding: .accessibleToOthers)
            }
            var bytes = [UInt8](repeating: 0, count: Self.tokenFileLimit)
            let count = read(descriptor.rawValue, &bytes, bytes.count)
            guard count >= 0 else { throw failure("the token cannot be read: \(Errno(rawValue: errno))", nil) }
            guard let token = AccessToken(file: Array(bytes.prefix(count))) else {
                throw failure(
                    "the token does not have \(AccessToken.shortest) to \(AccessToken.longest) bytes of text",
                    Self.remedy)
            }
            return token
        }
    }

    private static let remedy = "Write a random token, such as the output of: openssl rand -hex 32"
}
