# Where `make install` puts things; DESTDIR is for packagers.
PREFIX ?= /usr
DESTDIR ?=
BUILD := .build/release
# Where Debian's zsh looks for what packages install; elsewhere it may be $(PREFIX)/share/zsh/site-functions.
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/vendor-completions
# Every shell script, by its first line: they have no suffix.
SCRIPTS = $(shell git ls-files -z | xargs -0 awk 'FNR == 1 && /^\#(!\/bin\/(ba)?sh| shellcheck )/ { print FILENAME } { nextfile }')
# The same for Python, whose modules have one.
PYTHON = $(shell git ls-files '*.py') \
    $(shell git ls-files -z | xargs -0 awk 'FNR == 1 && /^\#!.*python3/ { print FILENAME } { nextfile }')

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

build: ## the programs, for release, into .build/release
	packaging/install-dependencies build
	# Stripped: the symbols are half of the size.
	swift build -c release --static-swift-stdlib -Xlinker -s

test: ## all tests; those that freeze need root and loop devices
	packaging/install-dependencies build test
	Tests/Runners/run

attack-test: ## attacks by users, containers and applications; needs root
	packaging/install-dependencies build test
	Tests/Runners/run attacks

harness-test: ## the tests of Tests/Runners/scratch-world itself
	Tests/Runners/scratch-world-test

database-test: ## live backups of real databases, with their hooks and without; needs root
	packaging/install-dependencies build test
	swift build
	Tests/Databases/run

bench: ## how long writers wait, beside the stock agents; needs root and zram
	packaging/install-dependencies build test
	$(MAKE) --no-print-directory build
	Tests/Bench/run

soak: ## two thousand backups of a busy machine, as released; needs root
	packaging/install-dependencies build test
	Tests/Runners/soak

fuzz: ## generated inputs, many of them damaged, for every parser of what comes from outside
	packaging/install-dependencies build
	Tests/Runners/fuzz

mutation-test: ## shows that the simulation catches a broken state machine
	Tests/Runners/mutation-test

sanitize: ## the unit tests under ThreadSanitizer and AddressSanitizer
	packaging/install-dependencies build test
	Tests/Runners/sanitize

lint: ## what CI checks of style
	swift format lint --strict --recursive Sources Tests Package.swift
	shellcheck --external-sources $(SCRIPTS)
	pyflakes3 $(PYTHON)

format: ## formats the Swift code in place
	swift format format --in-place --recursive Sources Tests Package.swift

demo: ## a freeze and thaw to watch, in a scratch world
	Tests/Demo/run

man: ## the man pages, into .build/man; needs `make build`
	packaging/install-dependencies package
	packaging/man/build $(BUILD) .build/man

deb: build man ## the Debian package, into .build/deb
	packaging/build-deb

tarball: build man ## a tarball of `make install` for systems like RHEL 9, into .build/tarball
	packaging/build-tarball

deb-test: ## installs, upgrades and removes the package in a scratch Debian; needs `make deb` and root
	packaging/install-dependencies package
	Tests/Runners/symbols-test
	packaging/build-tarball
	Tests/Runners/tarball-test
	Tests/Runners/deb-test

vm-test: ## the package on a booted machine, with the kernel's own VSS driver; needs `make deb`
	packaging/install-dependencies vm
	Tests/VM/run

install: ## what `make build` made, into DESTDIR and PREFIX
	install -D -m 755 $(BUILD)/quiesced $(DESTDIR)$(PREFIX)/sbin/quiesced
	install -D -m 755 $(BUILD)/quiescectl $(DESTDIR)$(PREFIX)/bin/quiescectl
	install -D -m 755 $(BUILD)/quiesce-freezer $(DESTDIR)$(PREFIX)/libexec/quiesced/quiesce-freezer
	# The unit names the programs by their paths, which depend on PREFIX.
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's#/usr/\(s\?bin\|share\)/#$(PREFIX)/\1/#' packaging/quiesced.service \
	    > $(DESTDIR)$(PREFIX)/lib/systemd/system/quiesced.service
	install -m 644 packaging/quiesce-qemu-ga.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/
	sed 's#/usr/libexec/#$(PREFIX)/libexec/#' packaging/quiesce-qemu-ga.service \
	    > $(DESTDIR)$(PREFIX)/lib/systemd/system/quiesce-qemu-ga.service
	install -D -m 755 packaging/quiesce-qemu-ga $(DESTDIR)$(PREFIX)/libexec/quiesced/quiesce-qemu-ga
	# Keeps the stock agent from the guest agent port.
	install -D -m 644 packaging/qemu-guest-agent.conf \
	    $(DESTDIR)$(PREFIX)/lib/systemd/system/qemu-guest-agent.service.d/quiesce.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/udev/rules.d packaging/99-quiesce-qemu-ga.rules
	install -d -m 755 $(DESTDIR)/etc/quiesced/hooks.d
	# The admin's configuration is never overwritten.
	if [ -e packaging/quiesced.toml ] && [ ! -e $(DESTDIR)/etc/quiesced/quiesced.toml ]; then \
	    install -m 644 packaging/quiesced.toml $(DESTDIR)/etc/quiesced/quiesced.toml; fi
	# What completes quiescectl's commands in a shell.
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(ZSH_COMPLETIONS) \
	    $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(BUILD)/quiescectl --generate-completion-script bash | sed '1{/^#!/d}' \
	    > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/quiescectl
	$(BUILD)/quiescectl --generate-completion-script zsh > $(DESTDIR)$(ZSH_COMPLETIONS)/_quiescectl
	$(BUILD)/quiescectl --generate-completion-script fish \
	    > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/quiescectl.fish
	# Those that `make man` has made.
	for page in $(wildcard .build/man/*.[578]); do \
	    install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	# What can be enabled, its settings, what hooks begin with, and what other agents call them by.
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/share/quiesced/hooks hooks/[0-9]* hooks/sample-*
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/quiesced/hooks/lib hooks/lib/*
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/quiesced/hooks/settings hooks/settings/*
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/share/quiesced/hooks/adapters hooks/adapters/*
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/quiesced/LICENSE
	# With the paths they have here, which their links need.
	set -e; for file in $(wildcard *.md docs/*.md docs/*.svg) hooks/sample-hook packaging/quiesced.toml; do \
	    install -D -m 644 $$file $(DESTDIR)$(PREFIX)/share/doc/quiesced/$$file; done

clean: ## removes what was built
	swift package clean

.PHONY: help build test attack-test harness-test database-test bench soak fuzz mutation-test sanitize lint format demo man deb tarball deb-test \
    vm-test install clean
