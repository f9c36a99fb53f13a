import FreezeCore
import LinuxCalls
import SystemPackage

/// The thread behind `HyperVHostSimulator`: reads what the daemon writes, and notices when it comes and goes.
struct HyperVHostTerminal: Sendable {
    let master: FileDescriptor
    let state: Monitor<HyperVHostState>
    let wakeUp: WakeUp

    /// Starts the thread, which closes the master when it ends.
    func startThread() throws(ChannelError) {
        do throws(Errno) {
            try OperatingSystemThread.start("hyperv-host", run)
        } catch {
            throw ChannelError(
                .systemCall, subject: "simulated Hyper-V host", problem: "its thread cannot start: \(error)",
                remedy: "Raise the limit of processes", underlyingError: error)
        }
    }

    private func run() {
        var received: [UInt8] = []
        var hasDeparted = false
        while true {
            // In this order: a hang-up after the look at the state makes it readable again.
            wakeUp.clear()
            if state.update(\.isClosed) { break }
            // poll() cannot wait for the other end to be opened: it goes on reporting the hang-up. So look again
            // soon, which is good enough for a rehearsal.
            _ = pollDescriptors(
                [(wakeUp.descriptor, .readable), (hasDeparted ? nil : master, .readable)],
                until: hasDeparted ? .now + .milliseconds(5) : nil)
            hasDeparted = !readEverything(&received)
        }
        try? master.close()
        state.update { $0.depart() }
    }

    /// Reads until there is nothing more; false if nobody has the other end open.
    private func readEverything(_ received: inout [UInt8]) -> Bool {
        while true {
            do throws(Errno) {
                let bytes = try readOnce(master, atMost: 256)
                received += bytes
                takeMessages(&received)
            } catch .interrupted {
                continue
            } catch .resourceTemporarilyUnavailable {
                return true
            } catch {
                // EIO: the daemon has closed the device. What it had not read is forgotten (hvt_op_release).
                received = []
                state.update { state in
                    if state.isRegistered { RawTerminal.discardOutput(master) }
                    state.depart()
                }
                return false
            }
        }
    }

    private func takeMessages(_ received: inout [UInt8]) {
        while received.count >= HyperVMessage.length {
            let bytes = Array(received.prefix(HyperVMessage.length))
            received.removeFirst(HyperVMessage.length)
            guard let message = try? HyperVMessage(bytes) else { return }
            state.update { state in
                guard state.receive(message) else { return }
                // The reply fits always; if the daemon is gone already, the next read tells.
                try? writeOnce(HyperVVersion.current.bytes, to: master)
            }
        }
    }
}
