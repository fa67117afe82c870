# Runs on demand: neither is part of make test.
#
#   make bench-trees       search and index in trees of up to a million files, beside find, fd and plocate
#   make stress-index      kill -9 at any step of indexing, unpacking and remembering, three hundred times
#   make fuzz              a million damaged inputs to every reader (coverage-guided where atheris is installed)
#   make bench-diagnosis   reading, searching and preflight beside other tools, on this machine's files

#   make test-matrix       the rebuild tests on TensorFlow 1.15, 2.4, 2.10, 2.15, 2.20 and 2.21 (most of an hour)
#   make test-cuda         ops with CUDA parts, built by a real nvcc for the CUDA build of TensorFlow 2.21 (1 GB of packages,
#                          ten minutes, as root; TOOLKITS="DIR…" for further CUDA toolkits)
#   make bench-watch       from save to published library in watch mode, beside plain g++
#   make stress-build      a builder killed at random times, a hundred rounds
#   make bench-rebuild     from a failing load to the op's result, when the store has the library
#   make bench-starts      a start with a learned environment, and with fifty records for other programs

#   make gpu-releases     the published CUDA builds of TensorFlow with a made GPU: 2.5 GB of wheels, as root

#   make call-sites        every call site of the corpus with its library in every place: docs/reference/call-sites.md

#   make search-labs       which decoys lie beside the right file in the labs of the search: docs/reference/search-labs.md

.PHONY: search-labs fuzz bench-diagnosis stress-build bench-rebuild test-matrix bench-watch call-sites bench-starts \
        gpu-releases

FUZZ_PYTHON ?= $(MAIN)
FUZZ_INPUTS ?= 1000000
BENCH_PYTHON ?= .envs/tf221-py311/bin/python

gpu-releases: $(MAIN)
	@$(ENVS) make tf tf24 tf210 tf215
	$(MAIN) tools/gpu_releases.py

search-labs: $(MAIN)
	PYTHONPATH=.:tests:tests/labs $(MAIN) -B tests/labs/test_found_system.py

call-sites: $(MAIN)
	$(MAIN) tools/replay_sites.py --output docs/reference/call-sites.md

fuzz: $(MAIN)
	$(FUZZ_PYTHON) tools/fuzz_readers.py --inputs $(FUZZ_INPUTS) --output docs/reference/fuzzing.md

bench-diagnosis: $(MAIN)
	@$(ENVS) make tf221 training
	$(BENCH_PYTHON) benchmarks/diagnosis.py --training .envs/training/bin/python \
	  --output docs/reference/benchmarks-diagnosis.md

stress-build: $(MAIN)
	BUILD_ROUNDS=$(or $(ROUNDS),100) $(PYTEST) tests/labs/test_builds.py -k killed_at_random

bench-rebuild: $(MAIN)
	@$(ENVS) make tf
	$(MAIN) benchmarks/rebuild.py --output docs/reference/benchmarks-rebuild.md

test-matrix: $(MAIN)
	@$(ENVS) make tf matrix
	$(MAIN) tools/rebuild_matrix.py --output docs/reference/rebuild-matrix.md

.PHONY: test-cuda
test-cuda: $(MAIN)
	@$(ENVS) make tfcuda
	TOOLKITS="$(TOOLKITS)" $(MAIN) tools/cuda_builds.py --output docs/reference/cuda-builds.md

bench-watch: $(MAIN)
	@$(ENVS) make tf221
	$(BENCH_PYTHON) benchmarks/watch.py --output docs/reference/benchmarks-rebuild.md

.PHONY: bench-trees stress-index

bench-trees: $(MAIN)
	$(MAIN) benchmarks/trees.py --output docs/reference/benchmarks-search.md

stress-index: $(MAIN)
	KILL_ROUNDS=$(or $(ROUNDS),300) $(PYTEST) -s tests/labs/test_killed.py

bench-starts: $(MAIN)
	$(MAIN) benchmarks/starts.py --output docs/reference/benchmarks-starts.md

#   make test-cpython      CPython's own tests without the hook and with it: docs/reference/cpython-tests.md
.PHONY: test-cpython
test-cpython: $(MAIN)
	$(PYTHON) tools/cpython_suite.py --output docs/reference/cpython-tests.md
