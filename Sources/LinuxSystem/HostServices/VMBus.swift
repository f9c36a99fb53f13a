import SystemPackage

/// The bus of a Hyper-V guest, on which each service offered by the host is a device (drivers/hv/vmbus_drv.c).
struct VMBus {
    struct Device {
        let directory: FilePath
        /// In lower case, without braces.
        let classID: String
        /// The state of the channel (enum vmbus_channel_state): 2 offered, 3 opened by the driver.
        let channelState: Int?
        /// The bound driver.
        let driver: String?
    }

    /// Whether the driver of the bus is loaded. Without the driver, sysfs has no offers.
    let isThere: Bool
    let devices: [Device]

    init(_ probe: ServiceProbe) {
        isThere = probe.exists(probe.sysfs.appending("bus/vmbus"))
        devices = probe.entries("bus/vmbus/devices").compactMap { directory in
            guard let text = SmallFile.text(directory.appending("class_id")) else { return nil }
            return Device(
                directory: directory, classID: text.filter { $0 != "{" && $0 != "}" }.lowercased(),
                channelState: SmallFile.text(directory.appending("state")).flatMap { Int($0) },
                driver: probe.driver(of: directory))
        }
    }

    func device(of service: IntegrationService) -> Device? {
        service.classID.flatMap { classID in devices.first { $0.classID == classID } }
    }
}
