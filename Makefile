# Each target sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench clean
.DELETE_ON_ERROR:

.venv/.ready: pyproject.toml constraints.txt
	@echo "Setting up .venv: some minutes and 2.3 GB, once"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[dev,finn,hls4ml,peers,place,rtl]"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt --no-deps finn-plus mip onnx-passes
	touch $@

# The compiled kernels, anew after a change of their source. Without a compiler: a warning, and PyTorch instead.
.venv/.kernels: .venv/.ready setup.py $(wildcard codesign/native/*.c codesign/native/*.cpp codesign/native/*.h)
	@$(BIN)/python setup.py -q build_ext --inplace
	touch $@

demo: .venv/.kernels
	@if [ -e runs/demo/study.sqlite ]; then $(BIN)/codesign resume runs/demo; \
	else $(BIN)/codesign run examples/demo.toml --out runs/demo; fi

test: .venv/.kernels
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.kernels
	$(BIN)/python benchmarks/speed/record.py
	for name in generator scores pricing startup proposals; do $(BIN)/python benchmarks/speed/$$name.py || exit 1; done

clean:
	rm -rf .venv build dist *.egg-info
