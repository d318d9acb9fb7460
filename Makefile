# Short front of the CMake build. `make demo` and `make check` work on a bare Debian 12.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help deps build install package demo check check-models asan tsan clang format lint fuzz clean

BUILD := build/release
JOBS  := $(shell nproc)
PREFIX  := /usr/local
DESTDIR :=

help:
	@echo "make demo    install what is missing, build, transcribe the sample clips at every rate"
	@echo "make check   install what is missing, build, run every test (also under sanitizers)"
	@echo "make check-models   fetch SmolLM2, Whisper base and PyTorch; compare with the published numbers"
	@echo "make build   build only: $(BUILD)/mome and $(BUILD)/mome-synth"
	@echo "make install   to PREFIX=/usr/local, below DESTDIR; make package: a .deb in $(BUILD)"
	@echo "make lint    formatting and the direction of includes"
	@echo "make fuzz    build the fuzzers in build/fuzz (clang)"

deps:
	@tools/install-deps.sh

build: deps
	@cmake --preset release >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)

install: build
	@DESTDIR="$(DESTDIR)" cmake --install $(BUILD) --prefix "$(PREFIX)" | sed '/Up-to-date/d'

package: build
	@cd $(BUILD) && cpack -G DEB >cpack.log || { cat cpack.log; exit 1; }
	@ls $(BUILD)/*.deb

demo: build
	@tools/demo.sh $(BUILD)

check: build lint clang asan tsan
	@ctest --test-dir $(BUILD) --output-on-failure

check-models: build
	@tools/check-models.sh $(BUILD)

clang: deps
	@cmake --preset clang >/dev/null
	@cmake --build build/clang -j $(JOBS)

asan: deps
	@cmake --preset asan >/dev/null
	@cmake --build build/asan -j $(JOBS)
	@OMP_NUM_THREADS=2 ctest --test-dir build/asan --output-on-failure -LE slow

tsan: deps
	@cmake --preset tsan >/dev/null
	@cmake --build build/tsan -j $(JOBS) --target mome_static test-unit-api_stream
	@OMP_NUM_THREADS=1 ctest --test-dir build/tsan --output-on-failure -R '^(cli/threads|unit/api_stream)$$'

fuzz: deps
	@cmake --preset fuzz >/dev/null
	@cmake --build build/fuzz -j $(JOBS)

lint: deps
	@tools/check-includes.sh
	@git ls-files '*.c' '*.h' '*.cc' | xargs clang-format --dry-run -Werror

format:
	@git ls-files '*.c' '*.h' '*.cc' | xargs clang-format -i

clean:
	rm -rf build
