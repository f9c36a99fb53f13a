import Configuration
import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage

/// A file that the output goes to, on a filesystem that would be frozen, or is stored on one (an overlay): a command that
/// writes to the file would wait until the window is over.
struct FrozenOutput: ActionableError {
    let subject: String
    /// Of the file's filesystem.
    let mountPoint: FilePath
    /// Of the filesystem to freeze.
    let frozen: FilePath

    var problem: String {
        mountPoint == frozen
            ? "goes to a file on \(frozen.escaped), which would be frozen"
            : "goes to a file on \(mountPoint.escaped), which is stored on \(frozen.escaped), which would be frozen"
    }
    var remedy: String? {
        "Write to a terminal, a pipe, or a file on a tmpfs such as /run. Nothing was frozen."
    }

    /// Looks at standard output and standard error. Opens neither, and makes no plan unless one is a file.
    ///
    /// - Throws: ``FrozenOutput``. What cannot be planned is for the daemon to say.
    static func refuse(_ options: ConfigurationOption) throws {
        let files = [("standard output", FileDescriptor.standardOutput), ("standard error", .standardError)].filter
        {
            isFile($0.1)
        }
        guard !files.isEmpty, !RootNeeded.isMissing else { return }
        // Without a configuration that is accepted every filesystem may be frozen.
        let configuration = (try? options.load()) ?? Configuration()
        guard let plan = try? FreezePlan.ofThisMachine(configuration, for: "exec"),
            let mounts = try? MountTableWatch().read()
        else { return }
        for (name, descriptor) in files {
            guard let mountID = try? MountPointOpening.mountID(of: descriptor),
                let mount = mounts.first(where: { $0.mountID == mountID }),
                let frozen = plan.frozenFilesystem(for: mount.device)
            else { continue }
            // A frozen filesystem has the mount point of the plan, whatever the mount of the file.
            let mountPoint = frozen.device == mount.device ? frozen.mountPoint : mount.mountPoint
            throw FrozenOutput(subject: name, mountPoint: mountPoint, frozen: frozen.mountPoint)
        }
    }

    private static func isFile(_ descriptor: FileDescriptor) -> Bool {
        var status = stat()
        return fstat(descriptor.rawValue, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }
}
