# Everything a developer or a curious reader runs. `make help` lists the targets; each installs what it needs (or, without root, prints
# the commands to run). What is built lies in build/ (the Rust build elsewhere where SAMAP_TARGET_DIR or CARGO_TARGET_DIR says so).

.DEFAULT_GOAL := help
.PHONY: help demo install test test-cuda check check-h5ad check-r45 check-kernels check-report figures fuzz lint vendor site golden \
  h5ad-fixtures data bench bench-programs bench-knn bench-cuda bench-phases bench-reference bench-scale clean

export SAMAP_TARGET_DIR ?= $(or $(CARGO_TARGET_DIR),$(CURDIR)/build/target)
export PATH := $(PATH):$(HOME)/.cargo/bin

LIBRARY := $(CURDIR)/build/library
DEMO_OUTPUT ?= demo-output
RUNS ?= 3
THREADS ?= 2
SIZES ?= 4000 12000 36000
KNN_SIZES ?= 12000 36000 100000
CUDA_SIZES ?= 36000 200000
PHASE_SIZES ?= 1000 2000 4000 8000
REFERENCE_SIZES ?= pancreas 12000 36000
# How the scaling series gives the counts to samap(): memory (matrices), h5ad (paths; for what does not fit into R), or disk (paths, and
# expression on disk, too).
INPUT ?= memory
# 0: copies of the shipped cells. Above: cells that have up to this share of their genes from another cell of their type.
MIXED ?= 0
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

test-cuda: ## the CUDA backend on a GPU, or on its emulator where there is none (SAMAP_CUDA=emulator: always)
	@tools/install-deps.sh cuda
	@tools/run-cuda-tests.sh

check-kernels: ## every CUDA kernel through the real NVRTC and ptxas, without a GPU; report in docs/cuda-kernels.md (network)
	@tools/install-deps.sh cuda
	@tools/check-kernels.sh docs/cuda-kernels.md

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

check-r45: ## the same with Seurat 5 on R 4.5, in a Debian 13 chroot (root; about 2 GB, kept in ~/.cache/samap)
	@tools/check-r45.sh

check-report: ## the HTML report in a headless browser: no script error, all figures there
	@tools/install-deps.sh report
	@tools/install-package.sh dev "$(LIBRARY)-test"
	@tools/check-report.sh "$(LIBRARY)-test"

figures: ## makes the pictures of the README again
	@tools/install-deps.sh test
	@tools/install-package.sh release "$(LIBRARY)"
	@R_LIBS="$(LIBRARY)" Rscript tools/figures.R

lint: ## formatting, clippy, lintr, licences of the crates and index of the help pages; warnings as errors
	@tools/install-deps.sh lint
	@cd src/rust && cargo fmt --all --check
	@cd src/rust && CARGO_TARGET_DIR="$(SAMAP_TARGET_DIR)" cargo clippy --workspace --all-targets --locked -- -D warnings
	@tools/install-package.sh dev "$(LIBRARY)-test"
	@R_LIBS="$(LIBRARY)-test" Rscript -e 'found <- lintr::lint_package(); print(found); quit(status = length(found) > 0)'
	@Rscript tools/authors.R --check
	@Rscript -e 'pkgdown::check_pkgdown()'

vendor: ## src/rust/vendor.tar.xz, all crates for an offline install (PLATFORMS="x86_64-pc-windows-gnu ...")
	@tools/install-deps.sh build
	@tools/vendor.sh $(PLATFORMS)

site: ## the web site of help pages and articles, in build/site
	@tools/install-deps.sh lint
	@tools/install-package.sh release "$(LIBRARY)"
	@R_LIBS="$(LIBRARY)" Rscript -e 'pkgdown::build_site(override = list(destination = "build/site"), devel = FALSE, preview = FALSE, install = FALSE, new_process = FALSE)'

golden: ## makes the golden fixtures again from sc-samap 3.0.1 (network)
	@tools/install-deps.sh python
	@tests/golden/regenerate.sh

h5ad-fixtures: ## makes tests/testthat/h5ad again with several versions of AnnData (network)
	@tools/install-deps.sh python
	@tests/h5ad/regenerate.sh

data: ## makes inst/extdata again from the PyPI package came 0.1.13 (network)
	@tools/install-deps.sh python
	@Rscript data-raw/pancreas.R

bench: ## criterion benchmarks of every step of the core, about two minutes; table in benches/RESULTS.md (BENCH=kNN: those of that name)
	@tools/install-deps.sh bench
	@tools/install-deps.sh build
	@cd benches && SAMAP_GOLDEN="$(CURDIR)/tests/golden/sc-samap-3.0.1" CARGO_TARGET_DIR="$(SAMAP_TARGET_DIR)" \
	  RAYON_NUM_THREADS=$(THREADS) cargo bench --bench steps -- $(BENCH)
	@Rscript --vanilla benches/steps/report.R "$(SAMAP_TARGET_DIR)/criterion" $(THREADS)

bench-programs:
	@tools/install-deps.sh bench
	@cd benches && CARGO_TARGET_DIR="$(SAMAP_TARGET_DIR)" cargo build --quiet --release --bins

bench-knn: bench-programs ## searches for neighbours side by side: time, recall, share of the machine's rate (KNN_SIZES="12000 36000 100000")
	@tools/install-deps.sh build
	@Rscript --vanilla benches/reference/export_data.R build/bench-knn
	@RAYON_NUM_THREADS=$(THREADS) "$(SAMAP_TARGET_DIR)/release/knn" build/bench-knn benches/knn.csv $(KNN_SIZES)
	@Rscript --vanilla benches/knn/report.R $(THREADS)

bench-cuda: ## every operation on the GPU, against the CPU and what the GPU could do; needs a GPU (CUDA_SIZES="36000 200000")
	@command -v nvidia-smi >/dev/null && nvidia-smi -L || { echo "bench-cuda: there is no NVIDIA GPU on this machine"; exit 1; }
	@$(MAKE) --no-print-directory bench-programs
	@tools/install-deps.sh build
	@Rscript --vanilla benches/reference/export_data.R build/bench-cuda
	@"$(SAMAP_TARGET_DIR)/release/cuda" build/bench-cuda benches/cuda.csv 3 $(CUDA_SIZES)
	@Rscript --vanilla benches/cuda/report.R

bench-phases: bench-programs ## steps in their older form and in ours: time, memory, plot (PHASE_SIZES="1000 2000 4000 8000")
	@tools/install-deps.sh build
	@benches/phases/run.sh "$(SAMAP_TARGET_DIR)/release" $(PHASE_SIZES)

bench-reference: bench-programs ## side by side with sc-samap 3.0.1, about an hour; tables in benches/RESULTS.md (RUNS=3 REFERENCE_SIZES="pancreas 12000 36000")
	@tools/install-deps.sh python
	@tools/install-package.sh release "$(LIBRARY)"
	@R_LIBS="$(LIBRARY)" benches/reference/run.sh "$(SAMAP_TARGET_DIR)/release/generate" --runs $(RUNS) --threads $(THREADS) \
	  --sizes $(REFERENCE_SIZES)

bench-scale: bench-programs ## the scaling series; table and plot in benches/ (SIZES="4000 12000 36000" INPUT=memory MIXED=0 THREADS=2 FRESH=1)
	@tools/install-deps.sh build
	@tools/install-package.sh release "$(LIBRARY)"
	@R_LIBS="$(LIBRARY)" Rscript benches/scale/run.R "$(SAMAP_TARGET_DIR)/release" $(INPUT) $(MIXED) $(THREADS) $(SIZES)

clean: ## removes build/ and what R left in src/
	@./cleanup
	rm -rf build src/*.o src/*.so
