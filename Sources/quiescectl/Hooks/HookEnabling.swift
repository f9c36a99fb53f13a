import Configuration
import FreezeCore
import Glibc
import Hooks
import LinuxCalls
import Presentation
import SystemPackage

/// Puts a hook that comes with quiesce where the daemon calls it, and takes it away again.
struct HookEnabling {
    /// What was done, for people and for programs.
    struct Change: Encodable {
        let hook: String
        let enabled: Bool
        /// False if it was so before.
        let changed: Bool
        let path: String
        let settings: String
        /// Why it is refused, and what to do about it; null if it is trusted, or disabled.
        let reason: String?
        private let sentences: [String]

        init(
            _ hook: Hook, enabled: Bool, changed: Bool, at path: FilePath, settings: FilePath,
            reason: String? = nil,
            _ sentences: [String]
        ) {
            self.hook = hook.plainName
            self.enabled = enabled
            self.changed = changed
            self.path = path.escaped
            self.settings = settings.escaped
            self.reason = reason
            self.sentences = sentences
        }

        private enum CodingKeys: String, CodingKey {
            case hook, enabled, changed, path, settings, reason
        }

        var lines: [String] { sentences.flatMap { $0.wrapped(to: TextLayout.width, indentation: 2) } }
    }

    struct Document: Encodable {
        let hook: String
        let kind: String
        /// Null if it is not enabled.
        let enabledAs: String?

        private enum CodingKeys: String, CodingKey {
            case hook, kind
            case enabledAs = "enabled_as"
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(hook, forKey: .hook)
            try container.encode(kind, forKey: .kind)
            try container.encode(enabledAs, forKey: .enabledAs)
        }
    }

    /// As it is shipped.
    let hook: Hook
    private let configuration: Configuration
    private let directory: FilePath
    private let link: FilePath

    init(_ hook: Hook, _ configuration: Configuration) {
        self.hook = hook
        self.configuration = configuration
        directory = configuration.hooks.directory
        link = directory.appending(hook.name)
    }

    /// The hook as the daemon calls it.
    private var enabled: Hook { HookSources(directory).hook(named: hook.name) }

    private var settings: FilePath { enabled.settings ?? directory }

    var document: Document {
        Document(hook: hook.plainName, kind: hook.kind.rawValue, enabledAs: enabledAs)
    }

    /// What it is enabled as; nil if it is not.
    var enabledAs: String? { isLinked ? hook.name : nil }

    private var isLinked: Bool { (try? readSymbolicLink(link)) == hook.path }

    private var isSomethingThere: Bool {
        var status = stat()
        return link.withPlatformString { lstat($0, &status) } == 0
    }

    func enable(from shipped: ShippedHooks) throws(HookNotEnabled) -> Change {
        let wasLinked = isLinked
        if !wasLinked {
            if isSomethingThere { throw HookNotEnabled(link, "there is a hook of your own of that name") }
            if let other = try? HookSources(directory).scan().first(where: { $0.hook.plainName == hook.plainName })
            {
                throw HookNotEnabled(other.hook.path, "there is a hook of your own for \(hook.plainName)")
            }
            makeDirectory(directory)
            guard symlink(hook.path.string, link.string) == 0 else { throw HookNotEnabled(link, errno: errno) }
        }
        let hasNewSettings = try copySettings(from: shipped.settings(of: hook))
        var sentences = [
            wasLinked
                ? "\(hook.plainName) is enabled already, as \(link.escaped)."
                : "\(hook.plainName) is enabled: \(link.escaped) leads to \(hook.path.escaped).",
            "Its settings are in \(settings.escaped)\(hasNewSettings ? ", all at their defaults" : "").",
        ]
        var reason: String?
        let candidate = (try? HookSources(configuration).scan())?.first { $0.hook.name == hook.name }
        if let candidate, case .refused(let why) = candidate.verdict {
            reason = why
            let isFatal = (candidate.hook.onFailure ?? configuration.hooks.onFailure) == .abort
            sentences.append(
                isFatal
                    ? "It is refused, which fails every backup: \(why)".asSentence
                    : "It is refused, so a backup is filesystem-consistent at best: \(why)".asSentence)
        } else {
            sentences.append("Rehearse it: quiescectl hooks run \(hook.name)")
        }
        return Change(
            hook, enabled: true, changed: !wasLinked, at: link, settings: settings, reason: reason, sentences)
    }

    func disable() throws(HookNotEnabled) -> Change {
        guard isSomethingThere else {
            return Change(
                hook, enabled: false, changed: false, at: link, settings: settings,
                ["\(hook.plainName) is not enabled."])
        }
        guard isLinked else { throw HookNotEnabled(link, "this is a hook of your own, which is not touched") }
        guard unlink(link.string) == 0 else { throw HookNotEnabled(link, errno: errno) }
        return Change(
            hook, enabled: false, changed: true, at: link, settings: settings,
            [
                "\(hook.plainName) is disabled: \(link.escaped) is removed.",
                "Its settings stay in \(settings.escaped).",
            ])
    }

    /// Those that are there stay.
    private func copySettings(from source: FilePath) throws(HookNotEnabled) -> Bool {
        guard access(settings.string, F_OK) != 0 else { return false }
        makeDirectory(settings.removingLastComponent())
        do throws(Errno) {
            let text = try readWholeFile(source)
            let file = try openDescriptor(
                settings, .writeOnly, options: [.create, .exclusiveCreate],
                permissions: [.ownerReadWrite, .groupRead, .otherRead])
            defer { try? file.close() }
            try writeAll(text, to: file)
        } catch {
            throw HookNotEnabled(settings, "its settings cannot be written: \(error)")
        }
        return true
    }

    /// Where it cannot be made, what is to be put into it says why.
    private func makeDirectory(_ path: FilePath) { _ = mkdir(path.string, 0o755) }
}

/// Why a hook was not enabled or disabled.
struct HookNotEnabled: ActionableError {
    let subject: String
    let problem: String
    let remedy: String?

    init(_ path: FilePath, _ problem: String) {
        subject = path.escaped
        self.problem = problem
        remedy = "Look at it, and remove or rename it by hand."
    }

    init(_ path: FilePath, errno: CInt) {
        subject = path.escaped
        problem = "\(Errno(rawValue: errno))"
        remedy = "Is /etc writable, and are the directories of the hooks there?"
    }
}
