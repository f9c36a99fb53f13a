import Configuration
import FreezeCore
import Glibc
import SystemPackage
import Testing

@testable import Hooks

@Suite(.needsRoot(toTest: "the directory of hooks"))
struct HookDirectoryTests {
    private let scratch: HookScratch

    init() throws {
        scratch = try HookScratch()
    }

    private func names() throws -> [String] {
        try HookDirectory(scratch.hooks).scan().map(\.hook.name)
    }

    private func reason(_ name: String) throws -> String? {
        let candidate = try #require(try HookDirectory(scratch.hooks).scan().first { $0.hook.name == name })
        guard case .refused(let reason) = candidate.verdict else { return nil }
        return reason
    }

    @Test func `hooks are listed in bytewise order`() throws {
        for name in ["b", "10-a", "9-z", "B", "10-a.sh", "é", "10-A", "_x"] { try scratch.hook(name) }
        #expect(try names() == ["10-A", "10-a", "10-a.sh", "9-z", "B", "_x", "b", "é"])
    }

    @Test(arguments: [
        "10-a~", "10-a.bak", "10-a.orig", "10-a.rpmnew", "10-a.rpmorig", "10-a.rpmsave", "10-a.sample",
        "10-a.dpkg-old", "10-a.dpkg-dist", ".hidden",
    ])
    func `what editors and package managers leave behind is ignored`(name: String) throws {
        try scratch.hook(name)
        #expect(try names() == [])
    }

    @Test func `directories are ignored, linked ones too`() throws {
        scratch.directory("10-directory")
        scratch.link("20-link", to: "10-directory")
        #expect(try names() == [])
    }

    @Test(arguments: ["10-bak", "sample", "10-dpkg", "10-a.sh", "10-sessionx"])
    func `similar names are hooks`(name: String) throws {
        try scratch.hook(name)
        #expect(
            try HookDirectory(scratch.hooks).scan() == [
                HookCandidate(
                    hook: Hook(name: name, path: scratch.hooks.appending(name), kind: .plain), verdict: .trusted)
            ])
    }

    @Test func `hooks are imported by the conventions of their style`() throws {
        try scratch.hook("10-own")
        let (qemu, vmware) = (scratch.hooks.appending("qemu"), scratch.hooks.appending("vmware"))
        let sources = HookSources(
            scratch.hooks, imports: [HookDirectory(qemu, style: .qemu), HookDirectory(vmware, style: .vmware)])
        // Whoever imports hooks has some.
        #expect(throws: HookError.self) { try sources.scan() }
        scratch.directory("qemu")
        scratch.directory("vmware")
        try scratch.hook("qemu/b.session")
        try scratch.file("qemu/README", mode: 0o644)
        try scratch.file("vmware/a", mode: 0o644)
        let found = try sources.scan()
        #expect(found.map(\.hook.name) == ["10-own", "qemu/b.session", "vmware/a"])
        #expect(found.allSatisfy { $0.hook.kind == .plain })
        #expect(found.map(\.hook.style) == [.quiesce, .qemu, .vmware])
        guard case .refused(let reason) = found[2].verdict else {
            Issue.record("trusted")
            return
        }
        #expect(reason.contains("is not executable"))
        for candidate in found { #expect(sources.hook(named: candidate.hook.name) == candidate.hook) }
    }

    @Test(arguments: [
        ("50-my-app", "my-app"), ("60-db.session", "db"), ("plain", "plain"), ("7", "7"), ("10-", "10-"),
        ("a-b", "a-b"), ("60-.session", "60-"),
    ])
    func `settings go by the name without number and kind`(name: String, plainName: String) {
        let hook = Hook(name: name, path: FilePath("/etc/q/hooks.d/\(name)"), kind: HookKind(hookName: name))
        #expect(hook.plainName == plainName)
        #expect(hook.settings == FilePath("/etc/q/hooks.conf.d/\(plainName)"))
    }

    @Test func `a session hook is known by its name`() throws {
        try scratch.hook("10-db.session")
        let candidate = try #require(try HookDirectory(scratch.hooks).scan().first)
        #expect(candidate.hook.kind == .session)
        #expect(candidate.verdict == .trusted)
    }

    @Test func `what cannot be run is refused, not ignored`() throws {
        try scratch.hook("10-mode", mode: 0o644)
        mkfifo(scratch.hooks.appending("20-fifo").string, 0o700)
        scratch.link("30-dangling", to: "nowhere")
        #expect(try reason("10-mode")?.contains("chmod +x") == true)
        #expect(try reason("20-fifo")?.contains("not a regular file") == true)
        #expect(try reason("30-dangling")?.contains("does not exist") == true)
    }

    @Test func `what others can change is refused`() throws {
        try scratch.hook("10-world", mode: 0o757)
        try scratch.hook("20-group", mode: 0o775)
        try scratch.hook("30-owner")
        #expect(chown(scratch.hooks.appending("30-owner").string, 1234, 0) == 0)
        scratch.link("40-link", to: "10-world")
        scratch.link("50-circle", to: "50-circle")
        #expect(try reason("10-world")?.contains("chmod go-w \(scratch.hooks)/10-world") == true)
        #expect(try reason("20-group")?.contains("chmod g-w") == true)
        #expect(try reason("30-owner")?.contains("1234") == true)
        #expect(try reason("40-link")?.contains("\(scratch.hooks)/10-world is writable") == true)
        #expect(try reason("50-circle")?.contains("too many symbolic links") == true)
    }

    @Test func `a directory that others can write to taints every hook`() throws {
        try scratch.hook("10-a")
        try scratch.hook("20-b")
        #expect(chmod(scratch.hooks.string, 0o775) == 0)
        for name in ["10-a", "20-b"] {
            #expect(try reason(name)?.contains("\(scratch.hooks) is writable by its group") == true)
        }
    }

    @Test func `a name that is not UTF-8 is refused`() throws {
        let path = scratch.hooks.string.utf8.map { CChar(bitPattern: $0) } + [0x2f, 0x61, -1, 0]
        let descriptor = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o755)
        #expect(close(descriptor) == 0)
        #expect(try reason("a\u{FFFD}")?.contains("UTF-8") == true)
    }

    @Test func `no directory means no hooks`() throws {
        #expect(try HookDirectory(scratch.hooks.appending("missing")).scan() == [])
    }

    @Test func `a directory that is none is an error`() throws {
        let hook = try scratch.hook("10-a")
        let error = #expect(throws: HookError.self) { try HookDirectory(hook.path).scan() }
        #expect(error?.description.contains("hooks.directory must name a directory") == true)
    }

    // MARK: DOS line endings

    @Test(arguments: [
        "#!/bin/sh\r\nexit 0\r\n", "#!/bin/sh -eu\r\n", "#!/usr/bin/env bash\r\n", "#! /usr/bin/perl\r\n",
        "#!/bin/sh\r", "#!\r\n",
    ])
    func `a script with DOS line endings is refused, with the remedy`(content: String) throws {
        try scratch.file("10-dos", content)
        let path = scratch.hooks.appending("10-dos")
        #expect(
            try reason("10-dos")
                == "\(path): its first line ends in a carriage return (DOS line endings). Run: sed -i 's/\\r$//' \(path)"
        )
    }

    @Test(arguments: [
        // perl ignores it in its options, and env -S takes it for a blank.
        "#!/usr/bin/perl -w\r\n", "#!/usr/bin/env -S perl -w\r\n", "#!/bin/sh\nexit 0\r\n", "\r\n", "",
        "exit 0\r\n",
    ])
    func `what a carriage return does not harm is not refused for it`(content: String) throws {
        try scratch.file("10-a", content)
        #expect(try reason("10-a") == nil)
    }

    // MARK: Limits of one hook

    /// Its limits, as a scan finds them.
    private func limits(_ name: String, _ sources: HookSources) throws -> Hook {
        try #require(try sources.scan().first { $0.hook.name == name }).hook
    }

    @Test func `an override wins over the style of an import, and each part of it stands alone`() throws {
        try scratch.hook("10-own")
        scratch.directory("qemu")
        try scratch.hook("qemu/20-a")
        try scratch.hook("qemu/30-b")
        let sources = HookSources(
            scratch.hooks, imports: [HookDirectory(scratch.hooks.appending("qemu"), style: .qemu)],
            overrides: [
                HookOverride("10-own", timeout: .seconds(7)), HookOverride("qemu/20-a", onFailure: .abort),
                HookOverride("99-none", timeout: .seconds(1)),
            ])
        let own = try limits("10-own", sources)
        #expect(own.timeout == .seconds(7) && own.onFailure == nil)
        let overridden = try limits("qemu/20-a", sources)
        #expect(overridden.timeout == nil && overridden.onFailure == .abort)
        #expect(try limits("qemu/30-b", sources).onFailure == .proceed)
        #expect(sources.hook(named: "10-own").timeout == .seconds(7))
    }

    @Test func `a shipped hook that only shortens recovery continues, known by the target of its link`() throws {
        for name in ["50-postgresql", "50-sqlite", "50-redis"] {
            // It lies where a package puts it.
            let target = FilePath("/usr/share/quiesced/hooks").appending(name)
            scratch.link(name, to: target)
            let expected: RequestPolicy.HookFailure? = name == "50-redis" ? nil : .proceed
            #expect(try limits(name, HookSources(scratch.hooks)).onFailure == expected, "\(name)")
        }
        try scratch.hook("60-postgresql")
        scratch.link("70-postgresql", to: "/opt/50-postgresql")
        scratch.link("80-mine", to: "/usr/share/quiesced/hooks/50-postgresql")
        for name in ["60-postgresql", "70-postgresql"] {
            #expect(try limits(name, HookSources(scratch.hooks)).onFailure == nil, "\(name)")
        }
        #expect(try limits("80-mine", HookSources(scratch.hooks)).onFailure == .proceed)
        let overridden = HookSources(
            scratch.hooks, overrides: [HookOverride("50-sqlite", timeout: .seconds(1), onFailure: .abort)])
        #expect(try limits("50-sqlite", overridden).onFailure == .abort)
        #expect(try limits("50-postgresql", overridden).onFailure == .proceed)
    }

    @Test func `every hook with a default for failures is shipped`() throws {
        for name in ShippedHooks.withoutConsequence {
            #expect(access(Repository.root.appending("hooks").appending(name).string, F_OK) == 0, "\(name)")
        }
    }
}
