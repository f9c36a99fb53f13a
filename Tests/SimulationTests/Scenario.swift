import FreezeCore
import SystemPackage

/// What can go wrong in a schedule.
struct Faults: OptionSet {
    let rawValue: UInt32

    static let freezeFails = Faults(rawValue: 1 << 0)
    static let freezeHangs = Faults(rawValue: 1 << 1)
    static let foreignFreeze = Faults(rawValue: 1 << 2)
    static let foreignThaw = Faults(rawValue: 1 << 3)
    static let thawTrouble = Faults(rawValue: 1 << 4)
    static let freezerDies = Faults(rawValue: 1 << 5)
    static let freezerSilent = Faults(rawValue: 1 << 6)
    static let hooksFail = Faults(rawValue: 1 << 7)
    static let hooksHang = Faults(rawValue: 1 << 8)
    static let hooksRefused = Faults(rawValue: 1 << 9)
    static let mountsChange = Faults(rawValue: 1 << 10)
    static let workFails = Faults(rawValue: 1 << 11)
    static let workHangs = Faults(rawValue: 1 << 12)
    static let channelLost = Faults(rawValue: 1 << 13)
    static let disorder = Faults(rawValue: 1 << 14)
    static let crash = Faults(rawValue: 1 << 15)
    static let shutdown = Faults(rawValue: 1 << 16)
    static let lateTimer = Faults(rawValue: 1 << 17)
    static let slowHost = Faults(rawValue: 1 << 18)
    static let force = Faults(rawValue: 1 << 19)

    static let suspend = Faults(rawValue: 1 << 20)
    static let daemonStops = Faults(rawValue: 1 << 21)

    /// Session hooks end too early, or badly.
    static let sessionsEnd = Faults(rawValue: 1 << 22)

    /// Another agent mounts a filesystem at any moment.
    static let foreignMount = Faults(rawValue: 1 << 23)
    /// A user sleeps inside a write.
    static let userHolds = Faults(rawValue: 1 << 24)

    static let count: UInt32 = 25
}

/// The fixed part of a schedule: the limits, the hooks, and which faults come up at all. Few at a time, so that each
/// gets into states that a hail of faults would never let it reach.
struct Scenario {
    var policy = RequestPolicy()
    /// Of every channel, for THAW.
    private(set) var thawAnswerLimit = Duration.seconds(20)
    var hooks: [PlannedHook] = []
    var faults: Faults = []
    /// How many operations each channel sends.
    var operations = 0

    static let healthy = Scenario()

    init() {}

    init(_ random: inout SplitMix64) {
        if !random.oneIn(10) {
            let kinds = 1 + random.below(4)
            for _ in 0..<kinds { faults.insert(Faults(rawValue: 1 << UInt32(random.below(Int(Faults.count))))) }
        }
        // A host behind another device, with the rules of Hyper-V or with others.
        policy.channels["agent"] = ChannelRules(
            secondFreeze: random.oneIn(3) ? .error : .losesWindow,
            thawWithoutWindow: random.oneIn(3) ? .success : .failure,
            maxWindow: random.oneIn(4) ? .seconds(5 + random.below(20)) : nil)
        policy.isDryRun = random.oneIn(15)
        policy.publishesState = !random.oneIn(4)
        policy.onHookFailure = random.oneIn(2) ? .abort : .proceed
        // A window that is not longer than the freeze, and one that ends after the host would have lost patience.
        switch random.below(8) {
        case 0: policy.maxWindow = .seconds(5)
        case 1: policy.maxWindow = .seconds(10)
        default: break
        }
        if random.oneIn(6) { policy.hooksTotalTimeout = .seconds(40) }
        // Shorter than a thaw may take that hangs.
        if random.oneIn(6) {
            thawAnswerLimit = .seconds(12)
            for name in policy.channels.keys { policy.channels[name]?.thawAnswerLimit = thawAnswerLimit }
            if random.oneIn(2) { policy.takeoverPatience = .seconds(15) }
        }
        // Budgets which leave hardly any room in the host's.
        if random.oneIn(10) { policy.flushTimeout = .seconds(300) }
        operations = 2 + random.below(4)
        for index in 0..<random.below(4) {
            let refusal = faults.contains(.hooksRefused) && random.oneIn(3) ? "writable by others" : nil
            let kind: HookKind = random.oneIn(3) ? .session : .plain
            let onFailure: RequestPolicy.HookFailure? = random.oneIn(4) ? random.oneIn(2) ? .abort : .proceed : nil
            let timeout: Duration? = random.oneIn(4) ? .seconds(1 + random.below(90)) : nil
            hooks.append(
                SimulatedWorld.hook(index, kind, refusal: refusal, timeout: timeout, onFailure: onFailure))
        }
    }
}

/// Names and filesystems that schedules draw from, made once: a debug build spends most of its time making strings.
enum SimulatedWorld {
    static let superblockCount = 6
    private static let hookNames = ["10-a", "20-b", "30-c", "40-d"]
    private static let sessionNames = ["10-a.session", "20-b.session", "30-c.session", "40-d.session"]
    static let mountPoints: [FilePath] = ["/", "/b", "/c", "/d", "/e", "/f"]

    /// Every superblock in every role: at step 0 to 3, flushed only, skipped.
    private static let roles = roles(on: nil)
    /// The same on storage whose server writes through a freeze.
    private static let writingRoles = roles(on: .nvmeLoop)

    private static func roles(on storage: HiddenStorage?) -> [[PlannedFilesystem]] {
        (0..<superblockCount).map { index in
            (0..<6).map { role in
                PlannedFilesystem(
                    device: DeviceNumber(major: 8, minor: UInt32(index)), mount: mount(index),
                    action: role < 4 ? .freeze : role == 4 ? .sync : .skip, reason: "",
                    step: role < 4 ? role : nil, hiddenStorage: storage)
            }
        }
    }

    static func hook(
        _ index: Int, _ kind: HookKind, refusal: String? = nil, timeout: Duration? = nil,
        onFailure: RequestPolicy.HookFailure? = nil
    ) -> PlannedHook {
        PlannedHook(
            name: (kind == .plain ? hookNames : sessionNames)[index], kind: kind, refusal: refusal,
            timeout: timeout, onFailure: onFailure)
    }

    private static func mount(_ index: Int) -> MountEntry {
        MountEntry(
            mountID: UInt64(index), parentID: 0, device: DeviceNumber(major: 8, minor: UInt32(index)), root: "/",
            mountPoint: mountPoints[index], mountOptions: "rw", filesystemType: "ext4", source: "none",
            superblockOptions: "rw")
    }

    private static let unreachable = UnreachableFilesystem(
        type: "ext4", source: "/dev/sdz", devices: [DeviceNumber(major: 65, minor: 144)], life: 7)

    static let healthyPlan = FreezePlan(filesystems: [roles[1][0], roles[0][1]])

    /// Up to six filesystems to freeze on up to three steps (not always all of them in use), and some flushed or
    /// skipped. The server of one of them may write through a freeze.
    static func plan(_ random: inout SplitMix64) -> FreezePlan {
        var steps: [[PlannedFilesystem]] = [[], [], [], [], [], []]
        let depth = 1 + random.below(3)
        let gap = random.oneIn(12) ? 1 : 0
        let writing = random.oneIn(6) ? random.below(superblockCount) : nil
        for index in 0..<superblockCount {
            let role: Int
            switch random.below(6) {
            case 0, 1, 2: role = random.below(depth) + gap
            case 3: role = 4
            default: role = 5
            }
            steps[role].append((index == writing ? writingRoles : roles)[index][role])
        }
        if steps[0].isEmpty, steps[1].isEmpty, !random.oneIn(20) { steps[0].append(roles[0][0]) }
        // Sometimes there is nothing to freeze, only to flush.
        if random.oneIn(40) {
            steps = [[], [], [], [], steps.flatMap(\.self).filter { $0.action == .sync }, []]
        }
        var seen: Set<DeviceNumber> = []
        return FreezePlan(
            filesystems: steps.flatMap(\.self).filter { seen.insert($0.device).inserted },
            unreachable: random.oneIn(6) ? [unreachable] : [])
    }

    static func index(of filesystem: PlannedFilesystem) -> Int { Int(filesystem.device.minor) }
}
