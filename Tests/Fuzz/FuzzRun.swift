import FreezeCore
import Glibc
import LinuxCalls
import Synchronization
import SystemPackage

/// Feeds one parser its inputs, one after the other, and watches over time and memory.
struct FuzzRun<Fuzz: ParserFuzz>: Sendable {
    /// No input may take longer. Far more than any needs, also on a machine that is busy.
    private static var patience: Duration { .seconds(10) }
    /// What may be resident afterwards in addition, in KiB: with 100,000 inputs, a hundred bytes of each.
    private var maximumGrowth: Int { 8192 + options.inputs * Fuzz.knownLoss / 1024 }

    private let options: FuzzOptions

    init(of fuzz: Fuzz.Type, _ options: FuzzOptions) {
        self.options = options
    }

    /// - Returns: The exit status.
    func run() throws -> Int32 {
        let fuzz = try Fuzz()
        if let file = options.file {
            return feedOne(FuzzInput(try readWholeFile(file, limit: 1 << 28)), to: fuzz)
        }
        if let only = options.only {
            let input = makeInput(only, of: fuzz)
            if options.isForShow {
                report(input, index: only, "input in progress")
                return 0
            }
            return feedOne(input, to: fuzz)
        }
        return try feedAll(to: fuzz)
    }

    private func makeInput(_ index: Int, of fuzz: Fuzz) -> FuzzInput {
        var random = SplitMix64(seed: options.seed, input: index)
        return fuzz.makeInput(&random)
    }

    private func feedOne(_ input: FuzzInput, to fuzz: Fuzz) -> Int32 {
        print("\(Fuzz.name): \(escapedForDisplay(input.bytes))")
        do {
            print("\(Fuzz.name): \(try fuzz.check(input))")
            return 0
        } catch {
            print("\(Fuzz.name): FAILED: \(error)")
            return 1
        }
    }

    private func feedAll(to fuzz: Fuzz) throws -> Int32 {
        let progress = try Progress(in: options.directory, named: Fuzz.name)
        progress.begin(0)
        try watch(progress)
        let began = Moment.now
        var accepted = 0
        var slowest = (time: Duration.zero, input: 0)
        var residentBefore = 0
        // Caches fill and the heap finds its size in the first inputs.
        let warmUp = options.inputs / 4
        for index in 0..<options.inputs {
            if index == warmUp { residentBefore = residentKibibytes() }
            progress.begin(index)
            let input = makeInput(index, of: fuzz)
            let start = Moment.now
            do {
                if try fuzz.check(input) == .accepted { accepted += 1 }
            } catch {
                report(input, index: index, "\(error)")
                return 1
            }
            let time = Moment.now - start
            if time > slowest.time { slowest = (time, index) }
        }
        progress.end()
        let growth = residentKibibytes() - residentBefore
        let seconds = (Moment.now - began).milliseconds / 1000
        print(
            Fuzz.name, options.inputs, accepted, options.inputs - accepted, (seconds * 10).rounded() / 10,
            (slowest.time.milliseconds * 10).rounded() / 10, slowest.input, growth, separator: "\t")
        return complain(accepted: accepted, growth: growth)
    }

    private func complain(accepted: Int, growth: Int) -> Int32 {
        if growth > maximumGrowth {
            complain("it has grown by \(growth) KiB, more than \(maximumGrowth)")
            return 1
        }
        // Both have to happen often, or little is tested.
        let share = Double(accepted) / Double(max(options.inputs, 1))
        guard (0.05...0.95).contains(share) else {
            complain("\(accepted) of \(options.inputs) inputs were accepted")
            return 1
        }
        return 0
    }

    // MARK: Time and memory

    /// Ends the process when an input takes too long: nothing else can end it.
    private func watch(_ progress: Progress) throws {
        let (name, seed, patience) = (Fuzz.name, options.seed, Self.patience)
        try OperatingSystemThread.start("watch") {
            var (last, since) = (progress.current, Moment.now)
            while let current = progress.current {
                if current != last { (last, since) = (current, .now) }
                if Moment.now - since > patience {
                    writeError("\(name): FAILED: input \(current) of seed \(seed) takes longer than \(patience)")
                    // The script shows the input, as for a crash.
                    _exit(2)
                }
                usleep(100_000)
            }
        }
    }

    private func residentKibibytes() -> Int {
        let pages = (try? readWholeFile("/proc/self/statm")).flatMap {
            Int(String(decoding: $0, as: UTF8.self).split(separator: " ").dropFirst().first ?? "")
        }
        return (pages ?? 0) * sysconf(Int32(_SC_PAGESIZE)) / 1024
    }

    // MARK: Failures

    private func report(_ input: FuzzInput, index: Int, _ problem: String) {
        let file = options.directory.appending("\(Fuzz.name)-\(options.seed)-\(index).input")
        complain(
            """
            \(problem)
              seed \(options.seed), input \(index), \(input.bytes.count) bytes: \
            \(escapedForDisplay(Array(input.bytes.prefix(4096))))
              saved in \(file)
              again: Tests/Runners/fuzz \(Fuzz.name) --seed \(options.seed) --input \(index), or --file \(file)
            """)
        do {
            let descriptor = try openDescriptor(
                file, .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
            try writeAll(input.bytes, to: descriptor)
            try descriptor.close()
        } catch {
            complain("\(file): not saved: \(error)")
        }
    }

    private func complain(_ problem: String) {
        writeError("\(Fuzz.name): FAILED: \(problem)")
    }
}

/// Which input is being fed, in a file: it can be read when the process has crashed.
final class Progress: Sendable {
    private let mapping: SharedMapping

    init(in directory: FilePath, named name: String) throws {
        let file = directory.appending("\(name).progress")
        let descriptor = try openDescriptor(
            file, .readWrite, options: [.create, .truncate], permissions: .ownerReadWrite)
        defer { try? descriptor.close() }
        try writeAll([UInt8](repeating: 0, count: 8), to: descriptor)
        mapping = try SharedMapping(descriptor)
    }

    /// Counted from one; zero when it is over.
    func begin(_ index: Int) { mapping.store(UInt64(index + 1), at: 0) }
    func end() { mapping.store(0, at: 0) }

    /// Nil when it is over.
    var current: Int? {
        let value = mapping.load(at: 0)
        return value == 0 ? nil : Int(value) - 1
    }
}
