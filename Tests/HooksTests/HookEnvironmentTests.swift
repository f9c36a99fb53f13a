import FreezeCore
import Glibc
import SystemPackage
import Testing

@testable import Hooks
@testable import LinuxCalls

extension RunningHooksTests {
    /// What a hook finds when it starts.
    @Suite struct HookEnvironmentTests {
        private let scratch: HookScratch

        init() throws {
            scratch = try HookScratch()
        }

        /// The shell adds variables of its own; what it was given is in procfs.
        private func environment(_ context: HookContext) async throws -> [String] {
            try await scratch.output(of: "cat /proc/$$/environ", context).split(separator: "\0").map(String.init)
                .sorted()
        }

        /// For every call.
        private static let common = [
            "HOME=/root", "LANG=C.UTF-8", "LOGNAME=root",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "QUIESCE_CHANNEL=hyperv",
            "SHELL=/bin/sh", "USER=root",
        ]

        /// In the order of ``environment(_:)``.
        private static func expected(_ own: String...) -> [String] { (common + own).sorted() }

        @Test func `the environment for freeze is exactly this`() async throws {
            setenv("QUIESCE_TEST_LEAK", "1", 1)
            let context = HookContext.freeze(timeout: .milliseconds(19_999), mountPoints: ["/", "/srv/my data"])
            #expect(
                try await environment(context)
                    == Self.expected(
                        "QUIESCE_LEVEL=application", "QUIESCE_MOUNTPOINTS=/\n/srv/my\\040data",
                        "QUIESCE_PHASE=freeze", "QUIESCE_REQUEST_ID=r-1", "QUIESCE_TIMEOUT_SECONDS=19"))
        }

        @Test(arguments: [HookContext.Result.ok, .failed])
        func `the environment for thaw is exactly this`(result: HookContext.Result) async throws {
            #expect(
                try await environment(.thaw(result))
                    == Self.expected(
                        "QUIESCE_MOUNTPOINTS=/srv", "QUIESCE_PHASE=thaw", "QUIESCE_REQUEST_ID=r-1",
                        "QUIESCE_RESULT=\(result.rawValue)", "QUIESCE_TIMEOUT_SECONDS=20"))
        }

        @Test func `mount points are escaped as in mountinfo, and so is what is not UTF-8`() {
            let bytes: [CChar] = [0x2f, 0x20, 0x09, 0x0a, 0x5c, -1, 0]
            let context = HookContext.freeze(mountPoints: [FilePath(platformString: bytes), "/b"])
            #expect(context.escapedMountPoints == Array("/\\040\\011\\012\\134\\377\n/b".utf8))
        }

        @Test func `a long list of mount points comes in a file that is gone afterwards`() async throws {
            let mountPoints = (0..<4000).map { FilePath("/srv/containers/volumes/number-\($0)") }
            let script = """
                [ -z "${QUIESCE_MOUNTPOINTS+set}" ] || exit 9
                stat -c '%u %a' "$QUIESCE_MOUNTPOINTS_FILE"
                cksum <"$QUIESCE_MOUNTPOINTS_FILE"; wc -l <"$QUIESCE_MOUNTPOINTS_FILE"; tail -n 1 "$QUIESCE_MOUNTPOINTS_FILE"
                """
            let lines = try await scratch.output(of: script, .freeze(mountPoints: mountPoints)).split(
                separator: "\n")
            #expect(lines.count == 4)
            #expect(lines.first == "0 400")
            #expect(lines.suffix(2) == ["4000", "/srv/containers/volumes/number-3999"])
            #expect(await eventually { rmdir(scratch.run.string) == 0 }, "the run directory is not empty")
        }

        @Test func `files of the previous instance are removed, and nothing else`() throws {
            let left = scratch.run.appending("hook-mountpoints.17.1")
            let other = scratch.run.appending("ledger")
            for file in [left, other] {
                try FileDescriptor.open(file, .writeOnly, options: [.create], permissions: .ownerRead).close()
            }
            HookRunner(runDirectory: scratch.run).removeLeftovers()
            #expect(access(left.string, F_OK) != 0)
            #expect(access(other.string, F_OK) == 0)
        }

        @Test(arguments: [("freeze", HookContext.freeze()), ("thaw", .thaw(.ok))])
        func `the phase is the only argument`(phase: String, context: HookContext) async throws {
            #expect(try await scratch.output(of: "echo \"$#:$1\"", context) == "1:\(phase)\n")
        }

        @Test func `it starts in the root directory with a usual file mode mask`() async throws {
            let before = umask(0)
            defer { umask(before) }
            #expect(try await scratch.output(of: "pwd; umask") == "/\n0022\n")
        }

        @Test(arguments: [HookKind.plain, .session])
        func `it leads a session of its own, and has no terminal`(kind: HookKind) async throws {
            let script = "echo $$; cat /proc/$$/stat; (: </dev/tty) 2>&1; echo READY"
            let hook = try scratch.hook(kind == .session ? "10-script.session" : "10-script", script)
            let call = scratch.begin(hook)
            let run = await call.run()
            await call.takeSession()?.release(within: .seconds(20))
            let lines = run.output.split(separator: "\n")
            let fields = lines[1].split(separator: ")").last?.split(separator: " ") ?? []
            let (group, leader, terminal) = (fields[2], fields[3], fields[4])
            #expect(group == lines[0] && leader == lines[0])
            #expect(terminal == "0")
            // ENXIO: there is none to be opened.
            #expect(lines[2].contains("No such device or address"), "\(run.output)")
        }

        @Test func `it has standard input from the null device, and no descriptor of ours`() async throws {
            // Not close-on-exec, as a careless library might leave it.
            let careless = open("/dev/zero", O_RDONLY)
            defer { close(careless) }
            let output = try await scratch.output(of: "ls -l /proc/$$/fd")
            // "… NUMBER -> TARGET", after a line with a total. The shell keeps its script open.
            let descriptors = output.split(separator: "\n").dropFirst().filter { !$0.hasSuffix("/10-script") }
                .map { $0.split(separator: " ").suffix(3).joined(separator: " ") }
            #expect(descriptors.count == 3, "\(output)")
            #expect(descriptors.first == "0 -> /dev/null")
            #expect(descriptors.dropFirst().allSatisfy { $0.contains("pipe:[") }, "\(output)")
        }

        @Test func `no signal is blocked or ignored`() async throws {
            let before = signal(SIGPIPE, SIG_IGN)
            let alsoBefore = signal(SIGUSR2, SIG_IGN)
            defer {
                signal(SIGPIPE, before)
                signal(SIGUSR2, alsoBefore)
            }
            let status = try await scratch.output(of: "exec cat /proc/self/status")
            // glibc's posix_spawn ignores two signals that it keeps to itself and nobody else can send or catch: 32
            // and 33.
            let internalSignals: UInt64 = 1 << 31 | 1 << 32
            for name in ["SigBlk", "SigIgn", "SigCgt"] {
                let line = try #require(status.split(separator: "\n").first { $0.hasPrefix(name) })
                let mask = try #require(line.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) })
                #expect(mask & ~internalSignals == 0, "\(line)")
            }
        }

        @Test func `its oom score is reset`() async throws {
            func setOwn(_ value: String) throws {
                let descriptor = try FileDescriptor.open("/proc/self/oom_score_adj", .writeOnly)
                try descriptor.closeAfter { _ = try descriptor.writeAll(value.utf8) }
            }
            try setOwn("100")
            defer { try? setOwn("0") }
            #expect(try await scratch.output(of: "exec cat /proc/self/oom_score_adj") == "0\n")
        }

        @Test func `its limit of descriptors is reset`() async throws {
            func limits() throws -> rlimit {
                var limit = rlimit()
                guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
                    throw Errno(rawValue: errno)
                }
                return limit
            }
            var lowered = try limits()
            let hard = lowered.rlim_max
            lowered.rlim_cur = hard / 2
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &lowered)
            try DescriptorLimit.raise()
            #expect(try limits().rlim_cur == hard)
            // Another test may have raised it before.
            let original = try #require(DescriptorLimit.original?.rlim_cur)
            #expect(original < hard)
            #expect(try await scratch.output(of: "ulimit -Sn; ulimit -Hn") == "\(original)\n\(hard)\n")
        }

        @Test(arguments: [HookContext.freeze(), .thaw(.ok), .thaw(.failed)])
        func `P3 the template fails until it is edited, and works then`(context: HookContext) async throws {
            let package = FilePath(#filePath).removingLastComponent().removingLastComponent()
                .removingLastComponent()
            let template = try FileDescriptor.open(package.appending("hooks/sample-hook"), .readOnly)
            let bytes = try template.closeAfter {
                try [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
                    count = try template.read(into: UnsafeMutableRawBufferPointer(buffer))
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            for (text, isEdited) in [(text, false), (text.replacing("complete=no", with: "complete=yes"), true)] {
                try scratch.file("50-template", text)
                let hook = Hook(name: "50-template", path: scratch.hooks.appending("50-template"), kind: .plain)
                let run = await scratch.run(hook, context)
                let isGood = isEdited || context.phase == .thaw
                #expect(run.outcome == .exited(status: isGood ? 0 : 1), "\(run)")
                #expect(run.output.contains("unedited template") == !isGood, "\(run)")
            }
        }
    }
}
