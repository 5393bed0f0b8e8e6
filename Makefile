# The commands of a checkout. `make run` needs Python ≥ 3.11 with venv, and make; nothing else.

.DEFAULT_GOAL := help
.PHONY: help run demo test sabotage faults walks check lock bench

VENV := .venv
BIN := $(VENV)/bin
# Modules are compiled when they are first imported, which is faster than compiling all of them;
# where that is switched off every start would pay for it.
export PYTHONDONTWRITEBYTECODE :=
WORKERS ?= auto
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
REFUSE_PYTHON := Python 3.11 or newer is needed, name one with: make PYTHON=python3.12 / \
	需要 Python 3.11 或更高版本，可用 make PYTHON=python3.12 指定
REFUSE_VENV := this Python cannot make virtual environments; on Debian: apt-get install python3-venv / \
	该 Python 缺少 venv 模块，Debian 系统请先安装 python3-venv

# What is installed is named after the content it was installed from, and after this folder: a
# second start installs nothing, a changed lock or a moved checkout does.
stamp = $(VENV)/$(1)-$(shell { pwd; cat pyproject.toml $(2); } | cksum | tr ' ' -)
INSTALLED := $(call stamp,run,requirements.lock)
INSTALLED_DEV := $(call stamp,dev,requirements.lock requirements-dev.lock)

help:
	@echo "make run    start everything on this machine / 一键启动（数据库、对象存储、服务）"
	@echo "make demo   walk one report through a running server / 演示一件事件的全流程"
	@echo "make test   the whole test suite / 全部测试"
	@echo "make faults long fault runs: cut links, kills under load, every statement / 长时间故障测试"
	@echo "make walks  an upload killed at every call and statement / 断点续传逐步故障测试"
	@echo "make sabotage  take out each guard in a copy: its test must fail / 逐一拆除防护，检验测试"
	@echo "make bench  measure the product next to its yardsticks / 性能基准（不作断言）"
	@echo "make check  format, lint, types, import contracts, guardrails / 静态检查"
	@echo "make lock   write the lock files anew from pyproject.toml / 更新依赖锁定文件"

# exec: a signal to make's child reaches the server itself; make passes its own SIGTERM on.
run: $(INSTALLED)
	@exec $(BIN)/etong run

# make demo ETONG_URL=https://… FILES="photo.jpg clip.mp4"
demo: $(INSTALLED)
	@exec $(BIN)/etong demo $(FILES)

# make test TESTS=tests/media: a worker a core, each with a database server of its own; a file stays
# with one worker, since what is slow to make is shared within a file
test: $(INSTALLED_DEV)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(TESTS)

# make sabotage GUARDS="--ten" or names of tests/sabotage
sabotage: $(INSTALLED_DEV)
	$(BIN)/python -m tests.sabotage $(GUARDS)

# make bench BENCH="a --scale 0.2": figures of this machine, none of them asserted
# BENCH=g: lists over a million incidents; runs for minutes, only when named
bench: $(INSTALLED_DEV)
	$(BIN)/python -m tests.load.run $(BENCH)

# ETONG_FAULT_REPORTS: how many reports the kills meet, 2,000 where it is not set
faults: $(INSTALLED_DEV)
	$(BIN)/python -m pytest -m slow tests/faults

# over half an hour: an upload killed at every call and statement, a store that fails at each
walks: $(INSTALLED_DEV)
	$(BIN)/python -m pytest -m whole tests/faults

check: $(INSTALLED_DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/guardrails

COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --quiet \
	--universal --generate-hashes --no-emit-index-url --no-annotate --python-version 3.11

lock: $(INSTALLED_DEV)
	@test -x $(BIN)/uv || $(INSTALL) uv
	$(COMPILE) --extra embedded --group build -o requirements.lock
	$(COMPILE) --group dev -c requirements.lock -o requirements-dev.lock

$(INSTALLED): | $(BIN)/activate
	@echo "installing the locked dependencies, once / 正在安装依赖（仅首次）"
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-build-isolation --no-deps -e .
	@rm -f $(VENV)/run-* && touch $@

$(INSTALLED_DEV): $(INSTALLED)
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@rm -f $(VENV)/dev-* && touch $@

# `activate` is written last and names its folder: without it the environment is half made, with
# another name in it the checkout was moved.
ifeq ($(shell grep -sF '$(CURDIR)/$(VENV)' $(BIN)/activate),)
.PHONY: $(BIN)/activate bench
endif
$(BIN)/activate:
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			"$$python" -m venv --clear $(VENV) && exit 0; \
			echo "etong: $(REFUSE_VENV)" >&2; exit 1; \
		fi; \
	done; \
	echo "etong: $(REFUSE_PYTHON)" >&2; exit 1
