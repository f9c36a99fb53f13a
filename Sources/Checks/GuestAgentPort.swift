import Configuration
import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage

/// The port of QEMU's guest agent on this machine.
struct GuestAgentPort {
    let device: FilePath
    /// `qemu.enabled`
    let use: ChannelSwitch
    let isThere: Bool
    /// Whether quiesced leaves the port to an installed qemu-ga.
    let isLeft: Bool

    init(device: FilePath, use: ChannelSwitch, isThere: Bool, isLeft: Bool) {
        self.device = device
        self.use = use
        self.isThere = isThere
        self.isLeft = isLeft
    }

    init(_ subject: CheckSubject) {
        let qemu = subject.configuration.qemu
        let agent = StockAgent(root: subject.root)
        self.init(
            device: qemu.device, use: qemu.enabled, isThere: access(qemu.device.string, F_OK) == 0,
            isLeft: qemu.enabled == .auto && agent.keepsPort)
    }

    func holders(_ subject: CheckSubject) -> [DeviceHolder] {
        isThere ? DeviceHolder.holders(of: device, in: ProcessTable(subject.proc)) : []
    }
}
