import FreezeCore
import LinuxCalls
import SystemPackage

/// No program has to agree to every access to what is frozen: if it waits for a frozen filesystem itself, so does
/// everybody else, and a freeze that is under way never ends (fanotify(7); fapolicyd and virus scanners do this).
enum FanotifyCheck {
    static let name = "fanotify"

    static func findings(_ subject: CheckSubject) -> [Finding] {
        let listeners = ProcessTable(subject.proc).processes.compactMap { process -> Listener? in
            let targets = process.descriptors(on: "anon_inode:[fanotify]").reduce(into: Set()) { targets, number in
                targets.formUnion(FanotifyGroup(fdinfo: process.descriptorInformation(number)).permissionTargets)
            }
            return targets.isEmpty ? nil : Listener(process: process.description, targets: targets)
        }
        return findings(listeners, mounts: subject.mounts, frozen: subject.frozenDevices)
    }

    /// A process that gives permissions.
    struct Listener {
        let process: String
        let targets: Set<FanotifyGroup.Target>
    }

    static func findings(
        _ listeners: [Listener], mounts: [MountEntry], frozen: Set<DeviceNumber>
    ) -> [Finding] {
        let findings = listeners.compactMap { listener -> Finding? in
            let affected = mounts.filter { mount in
                frozen.contains(mount.device)
                    && (listener.targets.contains(.mount(mount.mountID))
                        || listener.targets.contains(.superblock(mount.device)))
            }
            let isElsewhere = listener.targets.contains { target in
                // A mount of another namespace: nobody can tell what is on it.
                if case .mount(let id) = target { !mounts.contains { $0.mountID == id } } else { false }
            }
            guard !affected.isEmpty || isElsewhere else { return nil }
            let names = affected.prefix(3).map(\.mountPoint.escaped).joined(separator: ", ")
            let what = affected.isEmpty ? "mounts of another namespace" : names + (affected.count > 3 ? ", …" : "")
            return Finding(
                name, .warning,
                "\(listener.process) must agree to every access to \(what): if it waits for something frozen, a freeze fails.",
                nextStep: """
                    See that it writes neither its log nor its database to what is frozen; or exclude that \
                    filesystem in filesystems.exclude.
                    """)
        }
        return findings.isEmpty
            ? [Finding(name, .ok, "No program must agree to accesses to what is frozen.")] : findings
    }
}
