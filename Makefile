# Everything a developer or a curious reader runs. `make help` lists the targets; each installs what it needs (or, without root, prints
# the commands to run). What is built lies in build/ (the Rust build elsewhere where SAMAP_TARGET_DIR or CARGO_TARGET_DIR says so).

.DEFAULT_GOAL := help
.PHONY: help demo install test check check-h5ad lint fuzz golden h5ad-fixtures data bench bench-reference clean

export SAMAP_TARGET_DIR ?= $(or $(CARGO_TARGET_DIR),$(CURDIR)/build/target)
export PATH := $(PATH):$(HOME)/.cargo/bin

LIBRARY := $(CURDIR)/build/library
DEMO_OUTPUT ?= demo-output
RUNS ?= 5
SECONDS ?= 60

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | awk -F ':.*## ' '{printf "make %-16s %s\n", $$1, $$2}'

demo: ## maps human pancreas onto mouse pancreas: alignment table, figures and tables in demo-output/
	@tools/install-deps.sh build
	@tools/install-package.sh release "$(LIBRARY)"
	@R_LIBS="$(LIBRARY)" Rscript inst/scripts/demo.R "$(DEMO_OUTPUT)"

install: ## installs the package into R's own library
	@tools/install-deps.sh build
	@tools/install-package.sh release

test: ## Rust and R tests; the last line is `tests: N passed, N failed`
	@tools/install-deps.sh test
	@tools/run-tests.sh "$(LIBRARY)-test"

check: ## R CMD build and R CMD check --as-cran on this R
	@tools/install-deps.sh check
	@tools/run-checks.sh

check-h5ad: ## opens what write_h5ad() writes with AnnData and scanpy (network the first time)
	@tools/install-deps.sh python
	@tools/install-package.sh dev "$(LIBRARY)-test"
	@R_LIBS="$(LIBRARY)-test" tests/h5ad/run.sh

fuzz: ## feeds spoiled files to all readers (SECONDS=60); cases that fail stay in build/fuzz
	@tools/install-deps.sh test
	@CARGO_TARGET_DIR="$(SAMAP_TARGET_DIR)" cargo run --quiet --locked --manifest-path tests/fuzz/Cargo.toml -- $(SECONDS)

lint: ## formatting, clippy and lintr, warnings as errors
	@tools/install-deps.sh test
	@cd src/rust && cargo fmt --all --check
	@cd src/rust && CARGO_TARGET_DIR="$(SAMAP_TARGET_DIR)" cargo clippy --workspace --all-targets --locked -- -D warnings
	@tools/install-package.sh dev "$(LIBRARY)-test"
	@R_LIBS="$(LIBRARY)-test" Rscript -e 'found <- lintr::lint_package(); print(found); quit(status = length(found) > 0)'

golden: ## makes the golden fixtures again from sc-samap 3.0.1 (network)
	@tools/install-deps.sh python
	@tests/golden/regenerate.sh

h5ad-fixtures: ## makes tests/testthat/h5ad again with several versions of AnnData (network)
	@tools/install-deps.sh python
	@tests/h5ad/regenerate.sh

data: ## makes inst/extdata again from the PyPI package came 0.1.13 (network)
	@tools/install-deps.sh python
	@Rscript data-raw/pancreas.R

bench: ## criterion benchmarks of the core
	@tools/install-deps.sh bench
	@cd benches && SAMAP_GOLDEN="$(CURDIR)/tests/golden/sc-samap-3.0.1" CARGO_TARGET_DIR="$(SAMAP_TARGET_DIR)/benches" \
	  cargo bench $(BENCH)

bench-reference: ## side by side with sc-samap 3.0.1 on the pancreas pair; table in benches/RESULTS.md (RUNS=5)
	@tools/install-deps.sh python
	@tools/install-package.sh release "$(LIBRARY)"
	@R_LIBS="$(LIBRARY)" benches/reference/run.sh "$(RUNS)"

clean: ## removes build/ and what R left in src/
	@./cleanup
	rm -rf build src/*.o src/*.so
