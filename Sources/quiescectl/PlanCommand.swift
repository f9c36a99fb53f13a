import ArgumentParser
import Configuration
import FreezeCore
import LinuxSystem
import Presentation

/// `quiescectl plan`: shows what would be frozen, synced and skipped, in which order and why. Freezes nothing and needs
/// no daemon.
struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show which filesystems would be frozen, in which order and why.",
        discussion: """
            ORDER is the step a filesystem is frozen in: one that is stored in a file of another comes before it. \
            Thaw goes the other way. Nothing is frozen by this command.

            Exit status: 0 there is something to freeze; 1 there is not, or no plan can be made; 2 wrong usage or \
            configuration.

            Examples:
              quiescectl plan
              quiescectl plan --config /root/rehearsal.toml
              quiescectl plan --json
            """)

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    func run() throws {
        let plan = try FreezePlan.ofThisMachine(try options.load(), for: "plan")
        try output.write(PlanDocument(plan), orLines: PlanTable(plan).lines)
        do throws(PlanError) {
            try plan.requireSomethingToFreeze()
        } catch {
            // The plan's last line says so.
            throw ExitCode.failed
        }
    }
}

extension FreezePlan {
    /// The plan that a request would be made by now.
    ///
    /// - Parameter command: who asks, for the error.
    /// - Throws: `LinuxSystemError`, `PlanError`, or `RootNeeded`, since others cannot ask a device for its UUID.
    static func ofThisMachine(_ configuration: Configuration, for command: String) throws -> FreezePlan {
        let policy = PlanPolicy(configuration)
        let notice = WaitingNotice("looking at the filesystems")
        defer { notice.end() }
        let inventory = try StorageInventory.survey(try MountTables(policy.mountNamespaces))
        do throws(PlanError) {
            return try FreezePlan.make(from: inventory, policy: policy)
        } catch {
            if error.code == .notMounted { try RootNeeded.require(for: command) }
            throw error
        }
    }
}
