#!/bin/bash
#
# A worker in shell, with psql and curl, for the workflow of worker.sql.
#
#   worker.sh URL            with the usual PGHOST, PGDATABASE, ... set
#
# One run at a time.  The run's id goes to the receiver as Idempotency-Key, the
# completion is in one transaction with what is noted here.  SIGTERM ends it
# after the mail that is being sent.  Addresses have no spaces in them.
#
set -uo pipefail
url=$1
name=shell-$$
stopping=
trap 'stopping=1' TERM INT

sql() { psql -XAtq -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -F ' ' "$@"; }

# what psql was told, without the line that says which statement it was
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT

# Renew the lease of a run, until it is somebody else's or we are through.
beat() { # beat RUN ATTEMPT
	while sleep 20; do
		sql -v run="$1" -v attempt="$2" <<<"SELECT wf_heartbeat(:'run', :attempt)" >/dev/null 2>&1 || return
	done
}

work() { # work RUN ATTEMPT TO MAIL
	local run=$1 attempt=$2 to=$3 mail=$4 status
	if ! status=$(curl -sS -f --max-time 20 -o /dev/null -w '%{http_code}' -H "Idempotency-Key: $run" \
		-H 'Content-Type: application/json' -d "$mail" "$url" 2>"$errors"); then
		sql -v run="$run" -v attempt="$attempt" -v error="$(head -c 500 "$errors")" \
			<<<"SELECT wf_fail(:'run', :attempt, :'error')" >/dev/null
		return
	fi
	sql -v run="$run" -v attempt="$attempt" -v to="$to" -v name="$name" -v status="$status" >/dev/null 2>"$errors" <<-'END' ||
		BEGIN;
		INSERT INTO example_mail.sent (run_id, recipient, worker) VALUES (:'run', :'to', :'name');
		SELECT wf_complete(:'run', :attempt, jsonb_build_object('status', :status));
		COMMIT;
	END
		refused "$run" "$attempt"
}

# The completion was refused: somebody else has the run, or we could not note it.
refused() { # refused RUN ATTEMPT
	if grep -q 'ERROR:  WF004' "$errors"; then
		echo "$name: run $1 is somebody else's now" >&2
	else
		cat "$errors" >&2
		sql -v run="$1" -v attempt="$2" -v error="$(head -c 500 "$errors")" \
			<<<"SELECT wf_fail(:'run', :attempt, :'error')" >/dev/null
	fi
}

pause=1
while [ -z "$stopping" ]; do
	# in the background, so that a signal is seen while psql waits; INT cancels its statement
	psql -XAtq -v ON_ERROR_STOP=1 -c "CALL wf_wait_for_work('{example-mail}', '30 seconds')" >/dev/null 2>&1 &
	if ! wait $!; then
		kill -INT $! 2>/dev/null
		[ -n "$stopping" ] || { sleep "$pause"; pause=$((pause < 10 ? pause * 2 : 10)); }
		continue
	fi
	pause=1
	read -r run attempt to mail < <(sql -v name="$name" <<-'END'
		SELECT run_id, attempt, payload->>'to', payload FROM wf_claim('{example-mail}', 1, '1 minute', :'name');
	END
	) || continue
	beat "$run" "$attempt" &
	heart=$!
	work "$run" "$attempt" "$to" "$mail"
	kill "$heart" 2>/dev/null
done
