import FreezeCore
import LinuxCalls
import SystemPackage

extension BlockDevices {
    /// Fixed major numbers (Documentation/admin-guide/devices.txt).
    private static let nbdMajor: UInt32 = 43
    private static let drbdMajor: UInt32 = 147

    /// The kind of hidden storage that a disk is, by its place in sysfs; nil for any other device. Partitions and mappings
    /// have no kind of their own: see ``parts(of:)``.
    func hiddenStorage(of device: DeviceNumber) -> HiddenStorage? {
        if device.major == Self.nbdMajor { return .nbd }
        if device.major == Self.drbdMajor { return .drbd }
        guard let place = try? readSymbolicLink(directory(of: device)) else { return nil }
        let components = place.components.map(\.string)
        if components.contains(where: Self.isISCSISession) { return .iSCSI }
        if components.contains(where: { $0.hasPrefix("tcm_loop") }) { return .tcmLoop }
        if components.contains("vduse") { return .vduse }
        guard let name = components.last else { return nil }
        if name.hasPrefix("ublkb") { return .ublk }
        if components.contains("rbd"), name.hasPrefix("rbd") { return .rbd }
        return name.hasPrefix("nvme") ? nvmeFabric(of: device) : nil
    }

    /// `session1` (drivers/scsi/scsi_transport_iscsi.c).
    private static func isISCSISession(_ component: String) -> Bool {
        component.hasPrefix("session") && component.count > 7 && component.dropFirst(7).allSatisfy(\.isNumber)
    }

    /// Above a namespace is its controller, or with multipath its subsystem, which has links to the controllers.
    private func nvmeFabric(of device: DeviceNumber) -> HiddenStorage? {
        let above = FilePath(directory(of: device).string + "/..")
        let controllers =
            [above] + entries(above).filter { $0.string.hasPrefix("nvme") }.map { above.appending($0) }
        let transports = controllers.compactMap { SmallFile.text($0.appending("transport")) }
        if transports.contains("loop") { return .nvmeLoop }
        return transports.allSatisfy { $0 == "pcie" } ? nil : .nvmeOverFabrics
    }
}
