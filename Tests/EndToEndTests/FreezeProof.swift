import SystemPackage

/// The proof that a filesystem is frozen: it refuses to be frozen again, with EBUSY.
enum FreezeProof {
    /// By a child process, since a FIFREEZE can hang (Linux 6.18: while another is in progress). If it succeeded,
    /// the filesystem was not frozen, and is not afterwards either.
    static func isFrozen(_ mountPoint: FilePath, within limit: Duration = .seconds(5)) throws -> Bool {
        try ScratchWorld.require()
        let (ending, _, errors) = try RunningProgram.run(
            "fsfreeze", ["--freeze", mountPoint.string],
            environment: ["PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C"],
            within: limit)
        if ending == .exited(0) {
            try RunningProgram.output(of: "fsfreeze", ["--unfreeze", mountPoint.string], within: limit)
            return false
        }
        guard errors.contains("Device or resource busy") else {
            throw ScratchFilesystem.Failure(description: "\(mountPoint): freezing again: \(ending), \(errors)")
        }
        return true
    }
}
