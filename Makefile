# pg_workflow: a PGXS extension.
#
#   make                  build                      make install      install
#   make setup            install what is needed     make test         build, install, run every test
#   make installcheck     regress, isolation, TAP    make help         the other targets
#
# PG_CONFIG=/path/to/pg_config chooses the server; with_llvm=no builds faster,
# without bitcode; WERROR=1 makes warnings errors.

EXTENSION  = pg_workflow
MODULE_big = pg_workflow
OBJS       = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

PG_CPPFLAGS = -I$(srcdir)/src
SHLIB_LINK  = -lcrypto

# The version is written in the control file and nowhere else.
EXTVERSION := $(shell sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" pg_workflow.control)
INSTALL_SQL = sql/$(EXTENSION)--$(EXTVERSION).sql
DATA        = $(sort $(wildcard sql/$(EXTENSION)--*--*.sql))
DATA_built  = $(INSTALL_SQL)

WARNINGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
ifeq ($(WERROR),1)
PG_CFLAGS += $(WARNINGS) -Werror
endif

# Inputs of tests are in test/, the expected outputs of both kinds in
# expected/.  test/run runs these and the others (test/README.md).
TEST_SERVER    = --load-extension=pg_workflow --encoding=UTF8 --temp-config=test/pg_workflow.conf
REGRESS        = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS   = --inputdir=test --temp-instance=tmp_check $(TEST_SERVER)
ISOLATION      = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=. --temp-instance=tmp_check_iso $(TEST_SERVER)
PROVE_TESTS    = $(sort $(wildcard test/t/*.pl))
ifneq ($(PROVE_TESTS),)
TAP_TESTS      = 1
endif

EXTRA_CLEAN = build.flags results log output_iso tmp_check tmp_check_iso \
	regression.diffs regression.out tmp_bench \
	$(filter-out $(DATA),$(wildcard sql/$(EXTENSION)--*.sql)) \
	$(wildcard src/*.o src/*/*.o src/*.bc src/*/*.bc)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

ifneq ($(and $(wildcard $(PGXS)),$(wildcard $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h)),)

# A temporary server does not run as root: there, test/run changes the user.
ifeq ($(shell id -u),0)
NO_INSTALLCHECK = 1
installcheck:
	PG_CONFIG='$(PG_CONFIG)' test/run --installed regress isolation tap
endif

include $(PGXS)

$(INSTALL_SQL): $(sort $(wildcard sql/parts/*.sql)) pg_workflow.control | sql/parts
	{ printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit'; \
	  for part in $(filter sql/parts/%,$^); do echo; cat $$part || exit 1; done; } >$@

# Objects are rebuilt when any header changes, and when the server or the
# flags they were built with do.
$(OBJS) $(OBJS:.o=.bc): $(wildcard src/*.h src/*/*.h) build.flags

BUILD_FLAGS = $(VERSION) $(includedir_server) $(CC) $(filter-out $(WARNINGS) -Werror,$(CFLAGS)) $(CPPFLAGS)
build.flags: FORCE
	@flags='$(subst ','\'',$(strip $(BUILD_FLAGS)))'; old=$$(cat $@ 2>/dev/null); \
	 if [ '$(WERROR)' = 1 ]; then flags="$$flags (checked)"; fi; \
	 case $$old in "$$flags" | "$$flags (checked)") ;; *) echo "$$flags" >$@ ;; esac
FORCE:

# Bitcode of an earlier installation must not outlive its library.
ifneq ($(with_llvm), yes)
install: remove-old-bitcode
remove-old-bitcode:
	@rm -rf '$(DESTDIR)$(pkglibdir)/bitcode/$(MODULE_big)' '$(DESTDIR)$(pkglibdir)/bitcode/$(MODULE_big).index.bc'
endif

else

all install uninstall installcheck clean: postgres-is-missing
postgres-is-missing:
	@echo "PostgreSQL's server headers and PGXS were not found by '$(PG_CONFIG)'."
	@echo "  'make setup' installs all that is needed to build and test here, or"
	@echo "  on Debian and Ubuntu: apt-get install gcc make libssl-dev postgresql-NN postgresql-server-dev-NN"
	@echo "  elsewhere: install PostgreSQL with its development files and OpenSSL's, and"
	@echo "  say 'make PG_CONFIG=/path/to/pg_config'."
	@exit 1

endif

# ---------------------------------------------------------------------------

setup:
	@PG_CONFIG='$(PG_CONFIG)' test/tools/setup $(SETUP_OPTIONS)

# What was missing may be there after setup, so the build is another make.
test: setup
	@$(MAKE) -s -j$(shell nproc 2>/dev/null || echo 2) WERROR=1 all
	@PG_CONFIG='$(PG_CONFIG)' test/run

test-long: setup
	@$(MAKE) -s -j$(shell nproc 2>/dev/null || echo 2) WERROR=1 all
	@PG_CONFIG='$(PG_CONFIG)' test/run --long

cassert:
	@test/tools/cassert-build

format:
	@PG_CONFIG='$(PG_CONFIG)' test/tools/indent

format-check:
	@PG_CONFIG='$(PG_CONFIG)' test/tools/indent --check

demo: setup
	@PG_CONFIG='$(PG_CONFIG)' test/run --install
	@PG_CONFIG='$(PG_CONFIG)' demo/run

# The scale is the size of the large scenarios, 1 for that of their bars.
BENCH_SCALE ?= 0.01
bench: setup
	@PG_CONFIG='$(PG_CONFIG)' test/run --install
	@PG_CONFIG='$(PG_CONFIG)' bench/run --scale $(BENCH_SCALE)

# The other packages that ours is measured beside are installed only for that.
bench bench-peers: SETUP_OPTIONS = --peers
bench-peers: setup
	@PG_CONFIG='$(PG_CONFIG)' test/run --install
	@PG_CONFIG='$(PG_CONFIG)' bench/run --results tmp_bench/RESULTS.md p14

bench-quick: setup
	@PG_CONFIG='$(PG_CONFIG)' test/run --install
	@PG_CONFIG='$(PG_CONFIG)' bench/run --quick --scale 0.002 --results tmp_bench/RESULTS.md

help:
	@echo 'make                build; WERROR=1, with_llvm=no, PG_CONFIG=...'
	@echo 'make install        install into the server of PG_CONFIG'
	@echo 'make installcheck   regress, isolation and TAP tests of what is installed'
	@echo 'make setup          install the packages that building and testing need'
	@echo 'make test           setup, build, install, every kind of test'
	@echo 'make test-long      the same with the tests that take long'
	@echo 'make cassert        build a server with assertions, for make test PG_CONFIG=...'
	@echo 'make format         indent the C code as PostgreSQL does; format-check only looks'
	@echo 'make demo           show what it does'
	@echo 'make bench          all benchmarks, into bench/RESULTS.md; BENCH_SCALE=1 for the full size'
	@echo 'make bench-quick    a minute of them, into tmp_bench/RESULTS.md'
	@echo 'make bench-peers    PgQ, graphile-worker, pg-boss, DBOS, openworkflow beside it, into tmp_bench/RESULTS.md'
	@echo 'make clean          remove what was built'

.PHONY: FORCE setup test test-long cassert format format-check demo bench bench-peers bench-quick help \
	postgres-is-missing remove-old-bitcode
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
