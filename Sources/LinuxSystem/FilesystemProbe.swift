import CLibblkid
import FreezeCore
import LinuxCalls
import SystemPackage

/// Finds out UUID, label, type and partition type of the filesystems on block devices.
struct FilesystemProbe: Sendable {
    /// How long a device may take to answer.
    static let deadline = Duration.seconds(2)

    let devices: BlockDevices

    struct Answer: Sendable {
        var identities: [DeviceNumber: FilesystemIdentity] = [:]
        /// Devices that did not answer in time.
        var silent: [DeviceNumber] = []
    }

    /// Asks udev's database; where it does not know, the devices themselves, all at once.
    func identify(_ wanted: [DeviceNumber], udev: [DeviceNumber: UdevRecord]) -> Answer {
        var answer = Answer()
        var open: [DeviceNode] = []
        for device in wanted {
            if let identity = udev[device]?.identity {
                answer.identities[device] = identity
            } else if let nodes = devices.paths.deviceNodes, let name = devices.kernelName(of: device) {
                open.append(DeviceNode(device: device, path: nodes.appending(name)))
            }
        }
        // A device that still owes the answer to an earlier plan gets no further thread to hang.
        let hanging = HangingProbes.devices
        answer.silent = open.map(\.device).filter(hanging.contains)
        open.removeAll { hanging.contains($0.device) }
        let results = HangingProbes.run(open, within: FilesystemProbe.deadline) { target in
            FilesystemProbe.probe(target.device, node: target.path)
        }
        for (target, result) in zip(open, results) {
            switch result {
            case .some(let identity?): answer.identities[target.device] = identity
            case .some(nil): break
            case nil: answer.silent.append(target.device)
            }
        }
        return answer
    }

    /// Reads the device. Blocks as long as the device does.
    private static func probe(_ device: DeviceNumber, node: FilePath) -> FilesystemIdentity? {
        guard let probe = node.withPlatformString({ blkid_new_probe_from_filename($0) }) else { return nil }
        defer { blkid_free_probe(probe) }
        // The node was found by its name; it must be the device that was meant.
        guard DeviceNumber(deviceType: blkid_probe_get_devno(probe)) == device else { return nil }
        blkid_probe_enable_superblocks(probe, 1)
        blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID)
        blkid_probe_enable_partitions(probe, 1)
        blkid_probe_set_partitions_flags(probe, BLKID_PARTS_ENTRY_DETAILS)
        // 0: found. 1: nothing. -2: traces of several filesystems; which one is mounted cannot be told.
        guard blkid_do_safeprobe(probe) == 0 else { return nil }
        return FilesystemIdentity(
            uuid: value("UUID", of: probe), label: value("LABEL", of: probe),
            partitionType: value("PART_ENTRY_TYPE", of: probe)?.lowercased())
    }

    private static func value(_ name: String, of probe: blkid_probe) -> String? {
        var data: UnsafePointer<CChar>?
        guard blkid_probe_lookup_value(probe, name, &data, nil) == 0, let data else { return nil }
        return String(cString: data)
    }
}
