-- What keeps the primary from being healthy, one reason a row.
SELECT 'this server is in recovery, not a primary'
WHERE pg_catalog.pg_is_in_recovery()
UNION ALL
SELECT pg_catalog.format('job %s %s', wanted.job_name, state.reason)
FROM (VALUES ('operation_insert_one'), ('change_status')) AS wanted (job_name)
LEFT JOIN public.operations_jobs() AS job ON job.job_name = wanted.job_name
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN job.job_name IS NULL THEN 'is not scheduled: CALL operations_schedule()'
        WHEN NOT job.active THEN 'is switched off'
        WHEN job.runs IS NULL OR job.runs = job.failures AND job.last_status IS DISTINCT FROM 'failed'
            THEN 'has not run yet'
        WHEN job.last_status = 'failed' THEN 'failed: ' || coalesce(job.last_message, '')
        WHEN job.last_started_at < pg_catalog.clock_timestamp() - interval '60 seconds'
            THEN 'has not run for a minute'
    END
) AS state (reason)
WHERE state.reason IS NOT NULL;
