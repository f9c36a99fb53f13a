import Glibc
import LinuxCalls
import SystemPackage
import Testing

/// A fake freezer that freezes nothing: it accepts ledger and descriptors, and logs the commands.
struct FakeFreezer {
    static let python = "/usr/bin/python3"

    let executable: FilePath
    private let log: FilePath

    /// - Parameter directory: Where programs may be executed.
    init(in directory: FilePath) throws {
        executable = directory.appending("freezer")
        log = directory.appending("commands")
        let script = """
            #!\(Self.python)
            import os, socket, struct, sys
            connection = socket.socket(fileno=0)
            log = open("\(log)", "a", buffering=1)
            def report(*fields): connection.send(struct.pack("<%dq" % len(fields), *fields))
            report(0, 1)
            session = wanted = got = 0
            while True:
                data, descriptors, _, _ = socket.recv_fds(connection, 65536, 256)
                if not data: sys.exit(0)
                fields = struct.unpack("<%dq" % (len(data) // 8), data)
                names = ["", "prepare", "descriptors", "freeze", "thaw", "release"]
                log.write("%s %d\\n" % (names[fields[0]], len(descriptors)))
                for descriptor in descriptors: os.close(descriptor)
                if fields[0] == 1: session, wanted, got = fields[1], fields[2], 0
                if fields[0] == 2: got += len(descriptors)
                if fields[0] in (1, 2) and got == wanted: report(session, 2)
                if fields[0] == 4: report(session, 7)

            """
        let file = try FileDescriptor.open(
            executable, .writeOnly, options: [.create, .truncate, .closeOnExec],
            permissions: .ownerReadWriteExecute)
        try file.closeAfter { _ = try file.writeAll(script.utf8) }
    }

    /// Each with the number of its descriptors.
    var commands: [String] {
        let bytes = (try? readWholeFile(log)) ?? []
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
