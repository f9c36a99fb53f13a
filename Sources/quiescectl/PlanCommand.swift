import ArgumentParser
import Configuration
import FoundationEssentials
import FreezeCore
import LinuxSystem
import Presentation

/// `quiescectl plan`: shows what would be frozen, synced and skipped, in which order and why. Freezes nothing and needs no daemon.
struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show which filesystems would be frozen, in which order and why.",
        discussion: """
            ORDER is the step a filesystem is frozen in: one that is stored in a file of another comes before it. \
            Thaw goes the other way. Nothing is frozen by this command.
            """)

    @OptionGroup var options: ConfigurationOption

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let configuration = try options.load()
        let plan: FreezePlan
        do {
            let inventory = try StorageInventory.survey(try MountTableWatch())
            plan = try FreezePlan.make(from: inventory, policy: PlanPolicy(configuration))
        } catch let error as any ActionableError {
            printError(error)
            throw ExitCode.failed
        }
        print(json ? try jsonText(plan) : PlanTable(plan).text, terminator: "")
    }

    private func jsonText(_ plan: FreezePlan) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(PlanDocument(plan)), as: UTF8.self) + "\n"
    }
}
