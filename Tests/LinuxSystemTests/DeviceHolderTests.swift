import Testing

@testable import LinuxSystem

@Suite("Who holds a device")
struct DeviceHolderTests {
    @Test(
        "The service is read from the cgroup",
        arguments: [
            ("0::/system.slice/hv-vss-daemon.service\n", "hv-vss-daemon.service"),
            ("0::/system.slice/a.service/b.service/payload\n", "b.service"),
            ("0::/user.slice/user-0.slice/session-3.scope\n", nil),
            ("0::/\n", nil),
            ("", nil),
            ("0::/system.slice/odd\u{1B}.service\n", "odd\\033.service"),
        ])
    func service(listing: String, service: String?) {
        #expect(DeviceHolder.service(in: listing) == service)
    }

    @Test func isNamedWithItsService() {
        let holder = DeviceHolder(processID: 7, name: "hv_vss_daemon", service: "hv-vss-daemon.service")
        #expect(holder.description == "hv_vss_daemon (process 7) of hv-vss-daemon.service")
        #expect(DeviceHolder(processID: 7, name: "x", service: nil).description == "x (process 7)")
    }
}
