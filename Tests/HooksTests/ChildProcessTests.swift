import FreezeCore
import Glibc
import SystemPackage
import Testing

@testable import LinuxCalls

extension RunningHooksTests {
    /// The start of programs.
    @Suite struct ChildProcessTests {
        private let scratch: HookScratch

        init() throws {
            scratch = try HookScratch()
        }

        private func program(
            _ path: FilePath, _ arguments: [String] = [], directory: FilePath? = nil, hasOwnSession: Bool = false,
            inheritance: ChildProcess.Inheritance = .everything
        ) -> ChildProcess.Program {
            ChildProcess.Program(
                path, arguments: [path.string] + arguments, environment: [Array("NAME=value".utf8)],
                directory: directory, hasOwnSession: hasOwnSession, inheritance: inheritance)
        }

        /// The standard output of a program. Blocks until the program has exited with status 0.
        private func output(of program: ChildProcess.Program) throws -> String {
            let pipe = try OutputPipe()
            defer { try? pipe.readEnd.close() }
            let child: ChildProcess
            do {
                defer { try? pipe.writeEnd.close() }
                child = try ChildProcess.start(
                    program, descriptors: [.standardInput, pipe.writeEnd, .standardError])
            }
            var text: [UInt8] = []
            while true {
                _ = pollDescriptors([(pipe.readEnd, .readable)], until: nil)
                let part = try readOnce(pipe.readEnd, atMost: 65_536)
                if part.isEmpty { break }
                text += part
            }
            #expect(child.waitForEnd() == .exited(status: 0))
            return String(decoding: text, as: UTF8.self)
        }

        // MARK: Before the program

        @Test func `P4 the program begins only after the caller knows the process`() throws {
            let trace = scratch.hooks.appending("trace")
            var known: pid_t?
            let child = try ChildProcess.start(
                program("/bin/sh", ["-c", "echo begun > \(trace)"]),
                descriptors: [.standardInput, .standardOutput, .standardError]
            ) { process in
                known = process
                // Longer than a shell takes to begin.
                usleep(50_000)
                #expect(access(trace.string, F_OK) != 0)
            }
            #expect(known == child.processID)
            #expect(child.waitForEnd() == .exited(status: 0))
            #expect(access(trace.string, F_OK) == 0)
        }

        @Test func `P4 a program does not begin if its process cannot be recorded`() throws {
            let trace = scratch.hooks.appending("trace")
            let error = #expect(throws: StartFailure.self) {
                try ChildProcess.start(
                    program("/bin/sh", ["-c", "echo begun > \(trace)"]),
                    descriptors: [.standardInput, .standardOutput, .standardError]
                ) { _ throws(StartFailure) in throw StartFailure(.process, .tooManyOpenFiles) }
            }
            #expect(error?.errno == .tooManyOpenFiles)
            #expect(access(trace.string, F_OK) != 0)
        }

        // MARK: Failed steps

        private func failure(
            of program: ChildProcess.Program, descriptors: [FileDescriptor]? = nil
        ) throws -> StartFailure? {
            do throws(StartFailure) {
                let child = try ChildProcess.start(
                    program, descriptors: descriptors ?? [.standardInput, .standardOutput, .standardError])
                _ = child.waitForEnd()
                return nil
            } catch {
                return error
            }
        }

        @Test func `errno of a failed step is reported, with the step`() throws {
            let shell = "/bin/sh" as FilePath
            let tooBig = program(shell, [String(repeating: "x", count: 200 << 10)])
            #expect(try failure(of: tooBig) == StartFailure(.program, .argListTooLong))
            #expect(try failure(of: program("/no/such")) == StartFailure(.program, .noSuchFileOrDirectory))
            #expect(try failure(of: program("/etc/passwd")) == StartFailure(.program, .permissionDenied))
            try scratch.file("10-text", "no interpreter")
            let text = scratch.hooks.appending("10-text")
            #expect(try failure(of: program(text)) == StartFailure(.program, .execFormatError))
            let lost = program(shell, ["-c", "exit"], directory: "/no/such")
            #expect(try failure(of: lost) == StartFailure(.directory, .noSuchFileOrDirectory))
            let closed = FileDescriptor(rawValue: 1 << 19)
            let unbound = try failure(of: program(shell), descriptors: [.standardInput, closed])
            #expect(unbound == StartFailure(.descriptors, .badFileDescriptor))
            let many = [FileDescriptor](repeating: .standardInput, count: 17)
            #expect(
                try failure(of: program(shell), descriptors: many) == StartFailure(.process, .invalidArgument))
            let score = ChildProcess.Inheritance(oomScoreAdjustment: 1001)
            #expect(
                try failure(of: program(shell, inheritance: score)) == StartFailure(.oomScore, .invalidArgument))
            let limit = ChildProcess.Inheritance(descriptorLimit: rlimit(rlim_cur: 2, rlim_max: 1))
            #expect(
                try failure(of: program(shell, inheritance: limit))
                    == StartFailure(.descriptorLimit, .invalidArgument))
        }

        @Test func `a failed start leaves no descriptor`() throws {
            func descriptors() -> Int { (0..<1024).count { fcntl($0, F_GETFD) >= 0 } }
            let before = descriptors()
            for _ in 0..<40 { #expect(try failure(of: program("/no/such")) != nil) }
            // Other tests may open descriptors meanwhile.
            #expect(descriptors() < before + 40)
        }

        // MARK: Inheritance

        @Test func `its descriptors are those it was given, whatever their numbers, and no other`() throws {
            let careless = open("/dev/zero", O_RDONLY)
            defer { close(careless) }
            let pipe = try OutputPipe()
            defer { try? pipe.readEnd.close() }
            // The numbers of the first and the third are swapped.
            let child = try ChildProcess.start(
                program("/bin/ls", ["-l", "/proc/self/fd"]),
                descriptors: [.standardError, pipe.writeEnd, .standardInput, .standardOutput])
            try pipe.writeEnd.close()
            #expect(child.waitForEnd() == .exited(status: 0))
            let text = String(decoding: try readOnce(pipe.readEnd, atMost: 65_536), as: UTF8.self)
            let targets = text.split(separator: "\n").dropFirst().compactMap { $0.split(separator: " ").last }
            let own = try [2, 0, 1].map { try readSymbolicLink(FilePath("/proc/self/fd/\($0)")).string }
            // The last is the listed directory.
            #expect(targets.count == 5, "\(text)")
            #expect([targets[0], targets[2], targets[3]].map { String($0) } == own, "\(text)")
            #expect(targets[1].hasPrefix("pipe:") && targets[4].hasSuffix("/fd"), "\(text)")
        }

        /// SCHED_BATCH of <linux/sched.h>.
        private static let batch: CInt = 3

        /// Runs the body on a thread with attributes that a program would inherit.
        private func onUnusualThread<Value: Sendable>(
            _ body: @escaping @Sendable () throws -> Value
        ) async throws -> Value {
            try await blocking {
                var parameters = sched_param()
                sched_setscheduler(0, Self.batch, &parameters)
                setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, -7)
                var all = sigset_t()
                sigfillset(&all)
                pthread_sigmask(SIG_SETMASK, &all, nil)
                return try body()
            }
        }

        /// `cat` reads the attributes first, so the attributes were set before its start.
        private static let files = ["stat", "status", "oom_score_adj", "limits"].map { "/proc/self/\($0)" }

        @Test func `from its first instruction it is as a process that nobody has touched`() async throws {
            func setOwnScore(_ value: String) throws {
                let descriptor = try openDescriptor("/proc/self/oom_score_adj", .writeOnly)
                defer { try? descriptor.close() }
                try writeAll(Array(value.utf8), to: descriptor)
            }
            try setOwnScore("100")
            defer { try? setOwnScore("0") }
            let ignored = [SIGPIPE, SIGUSR1].map { (number: $0, before: signal($0, SIG_IGN)) }
            defer { for (number, before) in ignored { signal(number, before) } }
            let program = program(
                "/bin/cat", Self.files, hasOwnSession: true,
                inheritance: ChildProcess.Inheritance(descriptorLimit: rlimit(rlim_cur: 1000, rlim_max: 1001)))
            let text = try await onUnusualThread { try output(of: program) }
            let lines = text.split(separator: "\n")
            let fields = (lines.first?.split(separator: ")").last ?? "").split(separator: " ")
            let process = lines.first?.split(separator: " ").first
            // proc_pid_stat(5), counted from the state: group, session; nice; policy.
            #expect(fields[2] == process && fields[3] == process, "\(text)")
            #expect(fields[16] == "0", "the nice value: \(text)")
            #expect(fields[38] == "\(SCHED_OTHER)", "the scheduler: \(text)")
            #expect(lines.contains("0"), "the oom score: \(text)")
            let limit = try #require(lines.first { $0.hasPrefix("Max open files") })
            #expect(limit.split(separator: " ").dropFirst(3).prefix(2) == ["1000", "1001"])
            for name in ["SigBlk", "SigIgn", "SigCgt"] {
                let line = try #require(lines.first { $0.hasPrefix(name) })
                let mask = try #require(line.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) })
                // glibc reserves 32 and 33, and posix_spawn(3) ignores both.
                #expect(mask & ~(1 << 31 | 1 << 32) == 0, "\(line)")
            }
        }

        @Test func `asked to, it inherits what it can`() async throws {
            let program = program("/bin/cat", Self.files)
            let text = try await onUnusualThread { try output(of: program) }
            let fields = (text.split(separator: ")").dropFirst().first ?? "").split(separator: " ")
            #expect(fields[16] == "-7" && fields[38] == "\(Self.batch)", "\(text)")
            // But no signal is blocked.
            #expect(text.contains("SigBlk:\t0000000000000000"), "\(text)")
            #expect(pid_t(fields[3]) == getsid(0))
        }

        @Test func `its environment and arguments are those it was given`() throws {
            #expect(try output(of: program("/usr/bin/env")) == "NAME=value\n")
            let arguments = ["-c", "printf '<%s>' \"$0\" \"$@\"; pwd", "name", "", "a b"]
            #expect(
                try output(of: program("/bin/sh", arguments, directory: "/proc"))
                    == "<name><><a b>/proc\n")
        }

        // MARK: End

        @Test func `how it ended is told, and it is gone then`() throws {
            for (script, end) in [
                ("exit 3", ChildProcess.End.exited(status: 3)), ("kill -TERM $$", .signalled(SIGTERM)),
            ] {
                let child = try ChildProcess.start(
                    program("/bin/sh", ["-c", script]),
                    descriptors: [.standardInput, .standardOutput, .standardError])
                #expect(child.waitForEnd() == end)
                #expect(kill(child.processID, 0) != 0)
            }
        }

        /// A program that begins before the cancellation is noticed goes on.
        @Test func `a start that is cancelled is killed`() throws {
            let cancellation = try WakeUp()
            cancellation.signal()
            var killed = 0
            for _ in 0..<20 {
                let child = try ChildProcess.start(
                    program("/bin/sleep", ["1000"]), descriptors: [.standardInput], until: .now,
                    cancellation: cancellation)
                if !pollOne(child.descriptor, events: .readable, atMost: .seconds(1)).isEmpty { killed += 1 }
                child.send(signal: SIGKILL)
                #expect(child.waitForEnd() == .signalled(SIGKILL))
            }
            #expect(killed > 0)
        }
    }
}
