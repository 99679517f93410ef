-- What keeps the primary from being healthy, one reason a row. It runs every few seconds, so it looks only at the newest
-- thousand runs, by their key: a day's history has tens of thousands.
SELECT 'this server is in recovery, not a primary'
WHERE pg_catalog.pg_is_in_recovery()
UNION ALL
SELECT pg_catalog.format('job %s %s', wanted.job_name, judged.reason)
FROM (VALUES ('operation_insert_one'), ('change_status')) AS wanted (job_name)
LEFT JOIN cron.job ON job.jobname = wanted.job_name AND job.database = pg_catalog.current_database()
LEFT JOIN LATERAL (
    SELECT run.status, run.return_message, run.start_time
    FROM cron.job_run_details AS run
    WHERE run.jobid = job.jobid
      AND run.runid > (SELECT pg_catalog.max(newest.runid) - 1000 FROM cron.job_run_details AS newest)
      AND run.status IN ('succeeded', 'failed')
    ORDER BY run.runid DESC
    LIMIT 1
) AS last_run ON true
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN job.jobid IS NULL THEN 'is not scheduled: CALL operations_schedule()'
        WHEN NOT job.active THEN 'is switched off'
        WHEN last_run.status IS NULL THEN 'has not run yet'
        WHEN last_run.status = 'failed' THEN 'failed: ' || coalesce(last_run.return_message, '')
        WHEN last_run.start_time < pg_catalog.clock_timestamp() - interval '60 seconds' THEN 'has not run for a minute'
    END
) AS judged (reason)
WHERE judged.reason IS NOT NULL;
