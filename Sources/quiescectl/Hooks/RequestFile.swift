import ArgumentParser
import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// The id of a request, kept in a file between `hooks freeze` and `hooks thaw`, for the scripts of other agents.
struct RequestFile: ExpressibleByArgument {
    private static let longestID = 256

    private let path: FilePath

    init?(argument: String) {
        guard !argument.isEmpty else { return nil }
        path = FilePath(argument)
    }

    /// Replaces the file as a whole, so that the file names the request of an earlier call until then.
    func write(_ id: String) throws(RequestFileError) {
        do throws(Errno) {
            try replaceFile(path, by: Array("\(id)\n".utf8))
        } catch {
            throw RequestFileError(path, .cannotWrite, error)
        }
    }

    func read() throws(RequestFileError) -> String {
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try readWholeFile(path, limit: Self.longestID)
        } catch {
            throw RequestFileError(path, error == .noSuchFileOrDirectory ? .missing : .cannotRead, error)
        }
        let words = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard words.count == 1 else { throw RequestFileError(path, .malformed, .invalidArgument) }
        return String(words[0])
    }

    /// Removes the file, unless a later call has replaced it.
    func remove(naming id: String) throws(RequestFileError) {
        guard try read() == id else { return }
        guard unlink(path.string) == 0 else { throw RequestFileError(path, .cannotRemove, Errno(rawValue: errno)) }
    }
}

/// Why the id of a request could not be kept, or not be found.
struct RequestFileError: ActionableError {
    enum Cause {
        case missing, cannotRead, malformed, cannotRemove, cannotWrite
    }

    private let path: FilePath
    private let cause: Cause
    private let errno: Errno

    init(_ path: FilePath, _ cause: Cause, _ errno: Errno) {
        self.path = path
        self.cause = cause
        self.errno = errno
    }

    var subject: String { path.escaped }

    var problem: String {
        switch cause {
        case .missing:
            "there is no request in it: `hooks freeze` has not succeeded, or `hooks thaw` has run already"
        case .cannotRead: "the request cannot be read: \(errno)"
        case .malformed: "the file does not hold the id of a request"
        case .cannotRemove: "the file cannot be removed: \(errno)"
        case .cannotWrite: "the request cannot be written: \(errno)"
        }
    }

    var remedy: String? {
        switch cause {
        case .missing: nil
        case .cannotRead, .malformed, .cannotRemove: "Use `quiescectl hooks thaw` without --request-file."
        case .cannotWrite: "Name a file in a directory that exists, on a tmpfs such as /run."
        }
    }
}
