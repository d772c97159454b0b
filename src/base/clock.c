/*-------------------------------------------------------------------------
 * clock.c
 *		The time at which something is decided.
 *
 * The latest time seen is kept in shared memory, so that a clock which steps
 * back revives no key and no lease; store/clock_store.c brings it over a
 * restart.  Intervals are added in UTC.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/shmem.h"

/* '1000 years' as an interval is compared: years of twelve months of 30 days */
#define FOREVER_US (INT64CONST(1000) * MONTHS_PER_YEAR * DAYS_PER_MONTH * USECS_PER_DAY)

/* where there is no shared memory; the start of the calendar is 2000 */
static TimestampTz raised_to = 0;

TimestampTz
wf_clock_now(void)
{
	uint64		now = (uint64) GetCurrentTimestamp();
	uint64		seen;

	if (wf_shared == NULL)
		return Max((TimestampTz) now, raised_to);

	seen = pg_atomic_read_u64(&wf_shared->clock);
	while (seen < now)
	{
		/*
		 * Within a millisecond it is not worth a write to a line that every
		 * backend reads.
		 */
		if (now - seen < 1000 ||
			pg_atomic_compare_exchange_u64(&wf_shared->clock, &seen, now))
			return (TimestampTz) now;
	}
	return (TimestampTz) seen;
}

void
wf_clock_raise(TimestampTz time)
{
	uint64		seen;

	raised_to = Max(raised_to, time);
	if (wf_shared == NULL)
		return;
	seen = pg_atomic_read_u64(&wf_shared->clock);
	while (seen < (uint64) time &&
		   !pg_atomic_compare_exchange_u64(&wf_shared->clock, &seen, (uint64) time))
		;
}

int64
wf_interval_us(const Interval *interval)
{
	int64		days = (int64) interval->month * DAYS_PER_MONTH + interval->day;
	int64		us;

	if (pg_mul_s64_overflow(days, USECS_PER_DAY, &us) ||
		pg_add_s64_overflow(us, interval->time, &us))
		return days < 0 ? PG_INT64_MIN : PG_INT64_MAX;
	return us;
}

bool
wf_interval_is_zero(const Interval *interval)
{
	return interval->month == 0 && interval->day == 0 && interval->time == 0;
}

bool
wf_interval_is_forever(const Interval *interval)
{
	return wf_interval_us(interval) >= FOREVER_US;
}

bool
wf_interval_is_negative(const Interval *interval)
{
	return wf_interval_us(interval) < 0;
}

TimestampTz
wf_clock_add(TimestampTz time, const Interval *interval)
{
	Datum		sum;

	if (TIMESTAMP_NOT_FINITE(time))
		return time;

	/* what timestamp_pl_interval would refuse is beyond any calendar */
	if (wf_interval_is_forever(interval) ||
		time >= END_TIMESTAMP - wf_interval_us(interval) - 31 * USECS_PER_DAY)
		return DT_NOEND;

	sum = DirectFunctionCall2(timestamp_pl_interval, TimestampGetDatum(time),
							  IntervalPGetDatum(interval));
	return DatumGetTimestamp(sum);
}
