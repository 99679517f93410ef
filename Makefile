# The native way (no Docker): see README.md. Most targets are commands of the program operations-lab (lab/).
.DEFAULT_GOAL := help
TARGETS := help demo stop clean status doctor drill drills receipt failover rejoin load psql psql-replica test test-long test-all test-compose \
	bench lint package release
.PHONY: $(TARGETS)
.SILENT:

help:
	echo 'make demo          start the primary and its replica, wait until they live, say how to connect'
	echo 'make status        what lives: operations, jobs, view, replica, partitions'
	echo 'make doctor        one verdict: ok, degraded, broken or unknown, why, and what to type next'
	echo 'make receipt       what became of each row that a client wrote: acknowledged, lost, forked'
	echo 'make failover      stop the primary for certain; the replica becomes the primary'
	echo 'make rejoin        the old primary becomes a replica of the new one'
	echo 'make drill         NAME=replay-paused: break the demo in this way; seen, healed, and at what cost'
	echo 'make drills        all drills that are over in seconds, and a table'
	echo 'make load          RATE=500: pgbench loads the demo at this rate, and what that does to it'
	echo '                   also SECONDS=60 CLIENTS=4 MIX=insert=60,balance=40, or PROFILE=day MINUTES=24; LOAD=--details'
	echo 'make psql          a session on the primary (psql-replica: on the replica; N=5434: the one on that port)'
	echo 'make stop          stop all servers; the data stay'
	echo 'make clean         stop all servers and delete the data of the demo'
	echo 'make test          run the tests that need no Docker'
	echo 'make test-long     run those of them that take long: random, at length, and big'
	echo 'make test-all      run both'
	echo 'make test-compose  run the tests of the Compose demo on a Docker engine'
	echo 'make lint          formatting, spelling, dependencies, shell scripts, lints, documentation'
	echo 'make bench         measure, and print tables'
	echo 'make release       VERSION=0.2.0: make a release of what is committed'
	echo 'make package       a .deb, an archive with an install script and more, in dist/'
	echo
	echo 'Set in the environment or after make:'
	echo '  PRIMARY_PORT=5432 REPLICA_PORT=5433 POSTGRES_USER=postgres POSTGRES_DB=operations_db REPLICATION_USER=replicator'
	echo '  POSTGRES_PASSWORD and REPLICATION_PASSWORD, or the same with _FILE for a file that holds it'
	echo '  OPERATIONS_TEST_ROWS=100000   rows of test data at the first start'
	echo '  OPERATIONS_INSERT_BATCH=1     operations that the job inserts every 5 s; takes effect on a demo that runs'
	echo '  WAL_LEVEL=replica             logical: lets logical slots decode the WAL'
	echo '  LAB_PORT=8080                 where the live page is served; off: nowhere'
	echo '  REPLICAS=1                    how many replicas, up to 9; on REPLICA_PORT and the ports after it; fewer: the others are removed'
	echo '  CASCADE=off                   on: the further replicas follow the first one instead of the primary'
	echo '  SYNC=off                      on: a commit waits for the replica; of several, for one of them'
	echo '  EXTENSION                     build: build the extension; installed: use the one that PostgreSQL has;'
	echo '                                by default the latter, unless it is not there or was built here before'
	echo '  PG=16                         the major version of PostgreSQL: 15, 16, 17 or 18; each has a demo of its own'
	echo '  PG_CONFIG                     the pg_config of the PostgreSQL to use'
	echo '  STATE_DIR=.state              where everything is kept that is unpacked, built or run'
	echo '  DEMO_DIR=.state/demo          where the data of the demo are kept'

demo stop clean status psql failover rejoin:
	bash native/lab.sh $@

# N=5434: the replica on this port, as make status lists them
psql-replica:
	bash native/lab.sh psql-replica $(if $(filter command,$(firstword $(origin N))),"--port=$(N)")

# DOCTOR gives options: make doctor DOCTOR=--json
doctor:
	bash native/lab.sh doctor $(DOCTOR)

# DRILL and DRILLS give options: make drills DRILLS=--list. A name that was typed as a target is no reason to list all.
UNKNOWN := $(firstword $(filter-out $(TARGETS),$(MAKECMDGOALS)))
drill:
ifeq ($(NAME)$(DRILL),)
	$(if $(UNKNOWN),echo 'error: make drill takes NAME=: make drill NAME=$(subst ','\'',$(UNKNOWN))' >&2; exit 2)
endif
	bash native/lab.sh drill $(or $(NAME),$(if $(DRILL),,--list)) $(DRILL)

drills:
	bash native/lab.sh drills $(DRILLS)

# RECEIPT gives options: make receipt RECEIPT="--since 10m"
receipt:
	bash native/lab.sh receipt $(RECEIPT)

# CLIENTS=4 SECONDS=60 MIX=insert=60,balance=40, or PROFILE=day MINUTES=24; LOAD gives other options
load:
	bash native/lab.sh load $(if $(RATE),"--rate=$(RATE)") $(if $(CLIENTS),"--clients=$(CLIENTS)") $(if $(SECONDS),"--seconds=$(SECONDS)") \
		$(if $(MIX),"--mix=$(MIX)") $(if $(PROFILE),"--profile=$(PROFILE)") $(if $(MINUTES),"--minutes=$(MINUTES)") $(LOAD)

# PACKAGE gives options: make package PACKAGE="--out /tmp/packages"
package:
	bash native/lab.sh package $(PACKAGE)

# BENCH gives options: make bench BENCH=--help
bench:
	bash native/lab.sh dev bench -- $(BENCH)

release:
	bash native/lab.sh dev release $(or $(VERSION),--help)

test:
	bash native/lab.sh dev test

test-long test-all:
	bash native/lab.sh dev test $(subst test-,,$@)

test-compose lint:
	bash native/lab.sh dev $@

.DEFAULT:
	echo 'error: there is no target "$(subst ','\'',$@)": make help lists them' >&2
	exit 2
