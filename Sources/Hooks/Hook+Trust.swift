import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage

/// Why a hook may not be run, and what to do about it.
struct HookRefusal: Error {
    let reason: String
}

extension Hook {
    /// Verifies every file that is run or read as root when the hook is called. A missing file passes if only root can
    /// create the file.
    ///
    /// - Returns: Its settings, if it has any.
    func verify() throws(HookRefusal) -> FilePath? {
        do throws(TrustError) {
            for program in programs { try TrustCheck.verify(program, mayBeMissing: thawPath != nil) }
        } catch {
            throw HookRefusal(reason: error.description)
        }
        for program in Set(HookPhase.allCases.compactMap(self.program)) { try Self.verifyRunnable(program) }
        guard let settings else { return nil }
        do throws(TrustError) {
            return try TrustCheck.verify(settings, mayBeMissing: true) ? settings : nil
        } catch {
            throw HookRefusal(reason: error.description)
        }
    }

    private static func verifyRunnable(_ program: FilePath) throws(HookRefusal) {
        var status = stat()
        guard program.withPlatformString({ stat($0, &status) }) == 0 else {
            throw HookRefusal(reason: "\(program): it cannot be checked: \(Errno(rawValue: errno))")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw HookRefusal(reason: "\(program): it is not a regular file. Remove it")
        }
        guard status.st_mode & 0o111 != 0 else {
            throw HookRefusal(
                reason: "\(program): it is not executable. Run: chmod +x \(program) - or remove it")
        }
        // Only access(2) reports a mount with noexec; the permission bits do not.
        guard program.withPlatformString({ access($0, X_OK) }) == 0 else {
            throw HookRefusal(
                reason: """
                    \(program): it cannot be executed: \(Errno(rawValue: errno)). Is its filesystem mounted noexec?
                    """)
        }
        guard !fails(firstLineOf: program) else {
            throw HookRefusal(
                reason: """
                    \(program): its first line ends in a carriage return (DOS line endings). Run: \
                    sed -i 's/\\r$//' \(program)
                    """)
        }
    }

    /// Whether the carriage return of a DOS line ending keeps the script from running. The kernel takes it for the last
    /// character of the interpreter's name, or of the interpreter's one argument (fs/binfmt_script.c). env and shells
    /// fail with such an argument; other interpreters may accept it.
    private static func fails(firstLineOf program: FilePath) -> Bool {
        guard let descriptor = try? openDescriptor(program, .readOnly, options: .nonBlocking) else { return false }
        defer { try? descriptor.close() }
        // The kernel reads no more (BINPRM_BUF_SIZE).
        let start = (try? readOnce(descriptor, atMost: 256)) ?? []
        let line = start.prefix { $0 != UInt8(ascii: "\n") }
        guard line.starts(with: "#!".utf8), line.last == UInt8(ascii: "\r") else { return false }
        let words = line.dropFirst(2).dropLast().split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        let interpreter = words.first?.split(separator: UInt8(ascii: "/")).last ?? []
        let isEnvironment = interpreter.elementsEqual("env".utf8) && words.count == 2
        return words.count < 2 || isEnvironment || interpreter.suffix(2).elementsEqual("sh".utf8)
    }
}

extension HookVerdict {
    /// The verdict on one hook. Blocks as stat(2) does.
    ///
    /// A hook that is not trusted is reported, and never left out in silence: its application would be missing
    /// from the backup.
    static func check(_ hook: Hook) -> HookVerdict {
        do throws(HookRefusal) {
            _ = try hook.verify()
            return .trusted
        } catch {
            return .refused(reason: error.reason)
        }
    }
}
