// swift-tools-version: 6.2
import PackageDescription

/// Whether the fuzzer is built (Tests/Runners/fuzz).
let isFuzzing = Context.environment["FUZZ"] != nil
let strict: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .treatAllWarnings(as: .error),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ]
    // The fuzzer sees inside our modules, and counts the lines that it reaches.
    + (isFuzzing ? [.unsafeFlags(["-enable-testing", "-profile-generate", "-profile-coverage-mapping"])] : [])
/// For what the simulation runs millions of times (200,000 schedules take minutes in a debug build that is not optimised),
/// and for what runs in the window: a test counts what it allocates, which is for the release what counts.
let optimised: [SwiftSetting] = strict + [.unsafeFlags(["-O"], .when(configuration: .debug))]
let strictC: [CSetting] = [.define("_GNU_SOURCE"), .treatAllWarnings(as: .error)]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let tomlKit = Target.Dependency.product(name: "TOMLKit", package: "TOMLKit")

/// Layers, from the bottom up. A target may depend on what stands above it in this list, never below.
let package = Package(
    name: "quiesce",
    products: [
        .executable(name: "quiesced", targets: ["quiesced"]),
        .executable(name: "quiescectl", targets: ["quiescectl"]),
        .executable(name: "quiesce-freezer", targets: ["quiesce-freezer"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    targets: [
        // C
        .target(name: "CLinux", cSettings: strictC),
        .systemLibrary(name: "CLibmount", pkgConfig: "mount", providers: [.apt(["libmount-dev"])]),
        .systemLibrary(name: "CLibblkid", pkgConfig: "blkid", providers: [.apt(["libblkid-dev"])]),
        .systemLibrary(name: "CLibseccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        .systemLibrary(name: "CLibcap", pkgConfig: "libcap", providers: [.apt(["libcap-dev"])]),
        .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),

        // Pure: no I/O, no clock, no Foundation.
        .target(name: "FreezeCore", dependencies: [system], swiftSettings: optimised),

        // Text for terminals: tables, wrapping, columns. Pure.
        .target(name: "Presentation", dependencies: ["FreezeCore", system], swiftSettings: strict),

        // One typed Swift wrapper per system call that Glibc's overlay cannot express.
        .target(name: "LinuxCalls", dependencies: ["CLinux", "FreezeCore", system], swiftSettings: optimised),

        // Daemon and freezer: their messages, and the ledger that outlives both.
        .target(
            name: "FreezerProtocol", dependencies: ["LinuxCalls", "FreezeCore", system], swiftSettings: optimised),
        .target(
            name: "Freezer",
            dependencies: [
                "CLibseccomp", "CLibcap", "CLinux", "FreezerProtocol", "LinuxCalls", "FreezeCore",
                system,
            ],
            swiftSettings: optimised),
        .target(
            name: "LinuxSystem",
            dependencies: ["CLibmount", "CLibblkid", "LinuxCalls", "FreezeCore", system],
            swiftSettings: optimised),

        // What past requests did: the record, its file, and how it is drawn.
        .target(
            name: "History", dependencies: ["Presentation", "LinuxCalls", "FreezeCore", system],
            swiftSettings: strict),

        // The state for the host, in a pool of Hyper-V's data exchange.
        .target(
            name: "DataExchange", dependencies: ["History", "LinuxSystem", "LinuxCalls", "FreezeCore", system],
            swiftSettings: strict),

        .target(
            name: "Configuration", dependencies: ["FreezeCore", "LinuxSystem", tomlKit, system],
            swiftSettings: strict),
        .target(
            name: "Hooks",
            dependencies: [
                "Configuration", "FreezerProtocol", "LinuxSystem", "LinuxCalls", "FreezeCore", system,
            ],
            swiftSettings: strict),
        .target(
            name: "Coordinator",
            dependencies: [
                "Hooks", "Configuration", "History", "LinuxSystem", "FreezerProtocol", "LinuxCalls",
                "FreezeCore", logging, system,
            ],
            swiftSettings: optimised),
        // Varlink, server and client; knows nothing of freezing.
        .target(
            name: "Varlink", dependencies: ["LinuxCalls", "FreezeCore", nioCore, nioPosix, system],
            swiftSettings: strict),
        // What quiesced and quiescectl say to each other.
        .target(name: "ControlProtocol", dependencies: ["History", "FreezeCore", system], swiftSettings: strict),

        .target(
            name: "Channels",
            dependencies: [
                "ControlProtocol", "History", "Varlink", "LinuxSystem", "LinuxCalls", "FreezeCore", system,
            ],
            swiftSettings: strict),

        // What systemd gets from the daemon: the records of its log, and its notifications.
        .target(
            name: "Systemd", dependencies: ["CSystemd", "LinuxCalls", "FreezeCore", logging, system],
            swiftSettings: strict),

        // What `quiescectl check` looks at.
        .target(
            name: "Checks",
            dependencies: [
                "Presentation", "Hooks", "Configuration", "History", "LinuxSystem", "FreezerProtocol",
                "LinuxCalls",
                "FreezeCore", system,
            ], swiftSettings: strict),

        // Executables: thin.
        .executableTarget(
            name: "quiesced",
            dependencies: [
                "Channels", "Coordinator", "DataExchange", "Hooks", "Configuration", "History", "Systemd",
                "LinuxSystem", "LinuxCalls", "FreezeCore", argumentParser, logging, system,
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "quiescectl",
            dependencies: [
                "Channels", "Checks", "ControlProtocol", "Varlink", "Coordinator", "Hooks", "Configuration",
                "History",
                "Presentation", "LinuxSystem", "FreezerProtocol", "LinuxCalls", "FreezeCore", argumentParser,
                nioCore,
                system,
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "quiesce-freezer", dependencies: ["Freezer"], swiftSettings: strict),

        // Tests
        .testTarget(
            name: "PresentationTests", dependencies: ["Presentation", "FreezeCore", system], swiftSettings: strict),
        .testTarget(
            name: "SystemdTests", dependencies: ["Systemd", "LinuxCalls", "FreezeCore", logging, system],
            swiftSettings: strict),
        .testTarget(
            name: "VarlinkTests", dependencies: ["Varlink", "LinuxCalls", "FreezeCore", system],
            swiftSettings: strict),
        .testTarget(
            name: "ChecksTests",
            dependencies: ["Checks", "Hooks", "Configuration", "LinuxSystem", "LinuxCalls", "FreezeCore", system],
            swiftSettings: strict),
        .testTarget(name: "FreezeCoreTests", dependencies: ["FreezeCore", system], swiftSettings: strict),
        .testTarget(name: "SimulationTests", dependencies: ["FreezeCore", system], swiftSettings: optimised),
        .testTarget(
            name: "FreezerTests",
            dependencies: ["Freezer", "FreezerProtocol", "LinuxCalls", "FreezeCore", system],
            swiftSettings: strict),
        .testTarget(
            name: "LinuxSystemTests", dependencies: ["LinuxSystem", "LinuxCalls", "FreezeCore", system],
            swiftSettings: strict),
        .testTarget(
            name: "HistoryTests",
            dependencies: ["History", "Presentation", "LinuxCalls", "FreezeCore", system], swiftSettings: strict),
        .testTarget(
            name: "DataExchangeTests",
            dependencies: ["DataExchange", "History", "LinuxSystem", "LinuxCalls", "FreezeCore", system],
            swiftSettings: strict),
        .testTarget(
            name: "ConfigurationTests", dependencies: ["Configuration", "FreezeCore", system],
            swiftSettings: strict),
        .testTarget(
            name: "HooksTests", dependencies: ["Hooks", "Configuration", "LinuxCalls", "FreezeCore", system],
            swiftSettings: strict),
        .testTarget(
            name: "ChannelsTests",
            dependencies: [
                "Channels", "ControlProtocol", "Varlink", "LinuxSystem", "LinuxCalls", "FreezeCore", system,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "CoordinatorTests",
            dependencies: [
                "Coordinator", "Hooks", "Configuration", "History", "LinuxSystem", "FreezerProtocol", "LinuxCalls",
                "FreezeCore", logging, system,
            ],
            swiftSettings: strict),
        // Freezes real filesystems: runs only inside Tests/Runners/scratch-world.
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "Channels", "ControlProtocol", "Varlink", "History", "Freezer", "FreezerProtocol",
                "LinuxCalls",
                "FreezeCore", system,
            ],
            swiftSettings: strict),
    ]
)

if isFuzzing {
    package.targets.append(
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "Channels", "ControlProtocol", "DataExchange", "Varlink", "History", "Presentation",
                "Configuration",
                "LinuxSystem", "FreezerProtocol", "LinuxCalls", "FreezeCore", nioCore, system,
            ],
            path: "Tests/Fuzz", swiftSettings: strict, linkerSettings: [.unsafeFlags(["-profile-generate"])]))
}
