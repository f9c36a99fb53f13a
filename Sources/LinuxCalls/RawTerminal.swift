import CLinux
import Glibc
import SystemPackage

/// Terminals that only carry bytes: a pty stands in for a device in rehearsals and tests.
public enum RawTerminal {
    /// Makes a pty in raw mode (pty(7)). Its master does not block.
    public static func makePair() throws(Errno) -> (master: FileDescriptor, device: FilePath) {
        var name = [CChar](repeating: 0, count: 128)
        let master = FileDescriptor(rawValue: try Errno.check(clinux_open_terminal(&name, name.count)))
        do throws(Errno) {
            // On Linux the master's settings are those of the other end.
            try makeRaw(master)
        } catch {
            try? master.close()
            throw error
        }
        return (master, FilePath(platformString: name))
    }

    public static func isTerminal(_ descriptor: FileDescriptor) -> Bool {
        isatty(descriptor.rawValue) == 1
    }

    /// No echo, no line editing, no signals, all eight bits (termios(3), cfmakeraw).
    public static func makeRaw(_ descriptor: FileDescriptor) throws(Errno) {
        var settings = termios()
        guard tcgetattr(descriptor.rawValue, &settings) == 0 else { throw Errno(rawValue: errno) }
        cfmakeraw(&settings)
        guard tcsetattr(descriptor.rawValue, TCSANOW, &settings) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Throws away what was received and not read yet.
    public static func discardInput(_ descriptor: FileDescriptor) {
        tcflush(descriptor.rawValue, TCIFLUSH)
    }

    /// Throws away what was written and not read at the other end yet.
    public static func discardOutput(_ descriptor: FileDescriptor) {
        tcflush(descriptor.rawValue, TCOFLUSH)
    }
}
