# SPDX-License-Identifier: GPL-2.0-only
#
# xdp-vec. `make help` lists what there is to make.

VERSION := 0.1.0

OUTPUT ?= build
PREFIX ?= /usr/local
DESTDIR ?=
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
BPFTOOL ?= bpftool
LLVM_STRIP ?= llvm-strip
PKG_CONFIG ?= pkg-config
CFLAGS ?= -O2 -g
JOBS ?= $(shell nproc)
V ?= 0

export OUTPUT BPFTOOL
# Debian keeps bpftool, ip and nginx where an ordinary user's PATH does not look.
export PATH := $(PATH):/usr/sbin:/sbin

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-8s %s\n' '$(1)' '$(2)')
# Sub-makes run in parallel, unless make was started with a -j of its own.
submake = $(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(JOBS))

.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all
.PHONY: all demo test unit lint bench asan install uninstall clean help deps build-user build-tests

# ---- What must be there --------------------------------------------------------------------------

LIBS := libbpf libelf zlib libmnl
package_of_libbpf := libbpf-dev
package_of_libelf := libelf-dev
package_of_zlib := zlib1g-dev
package_of_libmnl := libmnl-dev
package_of_criterion := libcriterion-dev

goals := $(or $(MAKECMDGOALS),all)
# These install what is missing, or need nothing.
ifneq ($(filter-out clean help deps demo test uninstall,$(goals)),)
need := $(LIBS) $(if $(filter build-tests unit asan lint,$(goals)),criterion)
lint_tools := $(if $(filter lint,$(goals)),clang-format clang-tidy cppcheck shellcheck mandoc)
missing_tools := $(shell PATH="$(PATH)"; for tool in $(firstword $(CC)) $(firstword $(CLANG)) \
	$(BPFTOOL) $(LLVM_STRIP) $(PKG_CONFIG) $(lint_tools); do command -v "$$tool" >/dev/null || echo "$$tool"; done)
$(if $(missing_tools),$(error not found: $(missing_tools). On Debian: \
	apt-get install gcc clang llvm bpftool pkg-config $(lint_tools), or `make deps$(if $(lint_tools), LINT=1)`))
missing := $(strip $(foreach lib,$(need),$(if $(shell $(PKG_CONFIG) --exists $(lib) || echo no),$(lib))))
$(if $(missing),$(error pkg-config does not find: $(missing). On Debian: \
	apt-get install $(foreach lib,$(missing),$(package_of_$(lib))), or `make deps`))
endif

# ---- Flags ---------------------------------------------------------------------------------------

# Recursive on purpose: asked only when something is compiled.
lib_cflags = $(shell $(PKG_CONFIG) --cflags $(LIBS))
lib_libs = $(shell $(PKG_CONFIG) --libs $(LIBS))

SANITIZE ?=
sanitize := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
warnings := -Wall -Wextra -Werror

user_cflags = -std=gnu11 -D_GNU_SOURCE -DXDPVEC_VERSION='"$(VERSION)"' $(CFLAGS) $(warnings) $(sanitize) \
	-Iinclude -Iuser -I$(OUTPUT)/skel $(lib_cflags)
bpf_cflags = -target bpf -mcpu=v3 -O2 -g $(warnings) -I. -Iinclude -Ibpf
depend = -MMD -MP -MT $@ -MF $(@:.o=.d)

# ---- Files ---------------------------------------------------------------------------------------

# Every *.bpf.c becomes $(OUTPUT)/bpf/NAME.bpf.o; those that C code loads also get a skeleton.
bpf_dirs := bpf tests/bpf tests/bench tests/e2e
vpath %.bpf.c $(bpf_dirs)
bpf_sources := $(wildcard $(addsuffix /*.bpf.c,$(bpf_dirs)))
bpf_objects := $(patsubst %.c,$(OUTPUT)/bpf/%.o,$(notdir $(bpf_sources)))
skeletons := $(patsubst %.bpf.o,$(OUTPUT)/skel/%.skel.h,$(notdir $(bpf_objects)))

user_objects := $(patsubst %.c,$(OUTPUT)/obj/%.o,$(wildcard user/*.c))
# What the binary and the tests share: all of user/ but main.
shared_objects := $(filter-out $(OUTPUT)/obj/user/main.o,$(user_objects))
binary := $(OUTPUT)/xdp-vec

objects_in = $(patsubst %.c,$(OUTPUT)/obj/%.o,$(filter-out %.bpf.c,$(wildcard $(1)/*.c)))
unit_objects := $(call objects_in,tests/unit)
bpftest_objects := $(call objects_in,tests/bpf)
bench_objects := $(call objects_in,tests/bench)
unit_runner := $(if $(unit_objects),$(OUTPUT)/tests/unit)
bpf_runner := $(if $(bpftest_objects),$(OUTPUT)/tests/bpf)
bench_runner := $(if $(bench_objects),$(OUTPUT)/tests/bench)
# Each C file of tests/e2e is a program of its own.
e2e_programs := $(patsubst tests/e2e/%.c,$(OUTPUT)/tests/%,$(filter-out %.bpf.c,$(wildcard tests/e2e/*.c)))

# ---- Build ---------------------------------------------------------------------------------------

all: $(binary) ## the program, in $(OUTPUT)/xdp-vec

$(OUTPUT)/bpf/%.bpf.o: %.bpf.c
	$(call say,CLANG,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(bpf_cflags) $(depend) -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(OUTPUT)/skel/%.skel.h: $(OUTPUT)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	@mkdir -p $(@D)
	$(Q){ echo "/* NOLINTBEGIN: generated */"; $(BPFTOOL) gen skeleton $< name $(subst -,_,$*) && echo "/* NOLINTEND */"; } >$@

# Which skeletons a file includes is known only after its first compilation: all of them come first.
$(OUTPUT)/obj/%.o: %.c | $(skeletons)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(user_cflags) $(CPPFLAGS) $(depend) -c $< -o $@

link = $(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) $(sanitize) $(LDFLAGS) $^ -o $@

$(binary): $(user_objects)
	$(call say,LINK,$@)
	$(link) $(lib_libs)

$(OUTPUT)/tests/unit: $(unit_objects) $(shared_objects)
	$(call say,LINK,$@)
	$(link) $(lib_libs) $(shell $(PKG_CONFIG) --libs criterion)

$(OUTPUT)/tests/bpf: $(bpftest_objects) $(shared_objects)
	$(call say,LINK,$@)
	$(link) $(lib_libs) $(shell $(PKG_CONFIG) --libs criterion)

$(OUTPUT)/tests/bench: $(bench_objects) $(shared_objects)
	$(call say,LINK,$@)
	$(link) $(lib_libs)

$(e2e_programs): $(OUTPUT)/tests/%: $(OUTPUT)/obj/tests/e2e/%.o
	$(call say,LINK,$@)
	$(link)

build-user: $(binary) $(unit_runner) $(bpf_runner)
build-tests: $(binary) $(bpf_objects) $(unit_runner) $(bpf_runner) $(bench_runner) $(e2e_programs)

-include $(shell find $(OUTPUT)/obj $(OUTPUT)/bpf -name '*.d' 2>/dev/null)

# A file in the repository, remade only by its own name: `make vmlinux.h` on the kernel to take it from.
ifneq ($(filter vmlinux.h,$(goals)),)
.PHONY: vmlinux.h
endif
vmlinux.h: ## the kernel types that bpf/ uses, taken anew from this kernel
	$(call say,BTF,$@)
	$(Q)mkdir -p $(OUTPUT)
	$(Q)$(BPFTOOL) btf dump file /sys/kernel/btf/vmlinux format c >$(OUTPUT)/vmlinux-full.h
	$(Q)awk -f bpf/vmlinux.awk bpf/vmlinux.types $(OUTPUT)/vmlinux-full.h >$(OUTPUT)/vmlinux.h
	$(Q)mv $(OUTPUT)/vmlinux.h $@

# ---- Tests ---------------------------------------------------------------------------------------

deps: ## install what building and testing need and this Debian lacks (LINT=1: also for lint)
	$(Q)tests/deps build test $(if $(LINT),lint)

demo: ## a cluster in network namespaces, real requests, who got how many (root)
	$(Q)tests/deps build test
	$(Q)$(submake) build-tests
	$(Q)tests/e2e/demo.sh

test: ## every test (root); SUITES="unit e2e/http" runs only these
	$(Q)tests/deps build test
	$(Q)$(submake) build-tests
	$(Q)$(submake) build-user CC=$(CLANG) OUTPUT=$(OUTPUT)/clang
	$(Q)$(submake) asan-build
	$(Q)tests/run $(SUITES)

unit: $(unit_runner) ## the tests that need no root
	$(Q)$<

asan_output := $(OUTPUT)/asan
.PHONY: asan-build asan-runner
asan-build:
	$(Q)$(submake) asan-runner OUTPUT=$(asan_output) SANITIZE=address,undefined
asan-runner: $(unit_runner)
asan: asan-build ## the same with address and undefined-behaviour sanitizers
	$(Q)$(asan_output)/tests/unit

bench: $(bench_runner) ## ns per packet beside the budget (root); BENCH_ARGS are passed on
	$(Q)$< $(BENCH_ARGS)

c_files = $(wildcard $(addsuffix /*.[ch],user bpf include tests tests/unit tests/bpf tests/bench tests/e2e tests/fuzz))
sh_files = .ci/run tests/run tests/deps $(wildcard tests/e2e/*.sh tests/bench/*.sh)
man_files = $(wildcard man/*.[1-9])
plain_c_files = $(filter-out %.bpf.c,$(filter %.c,$(c_files)))

lint: $(skeletons) ## formatting, static analysis, shell and man page checks
	$(call say,FORMAT,C files)
	$(Q)clang-format --dry-run -Werror $(c_files)
	$(call say,CPPCHECK,C files)
	$(Q)cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr \
		--suppressions-list=tests/cppcheck.suppress -D_GNU_SOURCE -DXDPVEC_VERSION='""' \
		'-DLIBBPF_OPTS(type,name,...)=struct type name = { __VA_ARGS__ }' -Iinclude -Iuser \
		-j$(JOBS) $(plain_c_files)
	$(call say,TIDY,C files)
	$(Q)printf '%s\n' $(plain_c_files) | xargs -P$(JOBS) -I{} \
		clang-tidy --quiet --warnings-as-errors='*' {} -- $(user_cflags) -Wno-unknown-warning-option
	$(call say,SHELL,scripts)
	$(Q)shellcheck $(sh_files)
	$(if $(man_files),$(call say,MANDOC,man pages))
	$(if $(man_files),$(Q)mandoc -Tlint -Wwarning $(man_files))

# ---- Install -------------------------------------------------------------------------------------

sbindir = $(DESTDIR)$(PREFIX)/sbin
mandir = $(DESTDIR)$(PREFIX)/share/man
docdir = $(DESTDIR)$(PREFIX)/share/doc/xdp-vec
unitdir = $(DESTDIR)$(PREFIX)/lib/systemd/system
completiondir = $(DESTDIR)$(PREFIX)/share/bash-completion/completions

# installed,FILES,DIRECTORY: one line of recipe for each file, none where there are no files.
define install_files
$(foreach file,$(1),$(Q)install -D -m 0644 $(file) $(2)/$(notdir $(file))
)
endef

install: $(binary) ## below $(DESTDIR)$(PREFIX)
	$(Q)install -D -m 0755 $(binary) $(sbindir)/xdp-vec
	$(foreach n,1 5 7 8,$(call install_files,$(wildcard man/*.$(n)),$(mandir)/man$(n)))
	$(call install_files,$(wildcard configs/*.conf README.md LICENSE CHANGELOG.md),$(docdir))
	$(call install_files,$(wildcard configs/*.service),$(unitdir))
	$(if $(wildcard configs/completion.bash),$(Q)install -D -m 0644 configs/completion.bash $(completiondir)/xdp-vec)

uninstall: ## what install put there
	$(Q)rm -f $(sbindir)/xdp-vec $(completiondir)/xdp-vec $(addprefix $(unitdir)/,$(notdir $(wildcard configs/*.service)))
	$(Q)rm -f $(foreach n,1 5 7 8,$(addprefix $(mandir)/man$(n)/,$(notdir $(wildcard man/*.$(n)))))
	$(Q)rm -rf $(docdir)

clean: ## everything made
	$(Q)rm -rf $(OUTPUT)

help: ## this list
	@sed -n 's/^\([a-z.]*\):[^#=]*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r goal text; do \
		printf '  %-10s %s\n' "$$goal" "$$text"; done
	@printf '\n  OUTPUT=%s PREFIX=%s DESTDIR= CC=%s CLANG=%s BPFTOOL=%s V=1 shows commands\n' \
		'$(OUTPUT)' '$(PREFIX)' '$(CC)' '$(CLANG)' '$(BPFTOOL)'
