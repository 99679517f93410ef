//! A start after weeks without one: the calendar has moved on, and every job is overdue.

use operations_cluster::expect::{SOON, expect_equal, run, wait_for_runs, wait_for_text};
use operations_cluster::{Stop, text, value};

use crate::common::{Pair, set};

const INTERVALS: [&str; 2] = ["operations_ext.insert_interval", "operations_ext.change_status_interval"];

/// They run every second.
const REST: &str = "\
    SELECT max(finished_at) < clock_timestamp() - interval '2 s' FROM operations_job_run_details \
    WHERE job_name IN ('operation_insert_one', 'change_status')";

/// Makes of the data what they would be had all stopped so many days ago: the newest rows, months and records are of that time.
const REWIND: &str = "\
    DO $$ \
    DECLARE \
        stopped date := current_date - DAYS; \
        month text; \
    BEGIN \
        DELETE FROM operations WHERE operation_date > stopped; \
        FOR month IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                     WHERE i.inhparent = 'operations'::regclass \
                       AND c.relname > to_char(stopped + interval '3 months', '\"operations_\"YYYY_MM') \
        LOOP \
            EXECUTE format('DROP TABLE %I', month); \
        END LOOP; \
        UPDATE operations_job_run_details \
        SET started_at = started_at - interval 'DAYS days', finished_at = finished_at - interval 'DAYS days'; \
    END $$";

#[test]
fn a_start_after_weeks_off_is_a_start_like_any_other() {
    let mut pair = Pair::start();
    for job in ["operation_insert_one", "change_status"] {
        wait_for_runs(&mut pair.primary.session().unwrap(), job, "succeeded", 1);
    }
    // After 45 days some of the months ahead are there, after 150 days not even the present one.
    for days in [45, 150] {
        INTERVALS.iter().for_each(|interval| set(&pair.primary, interval, "0"));
        let mut session = pair.primary.session().unwrap();
        wait_for_text(&mut session, "the jobs to rest", REST, "t");
        run(&mut session, &REWIND.replace("DAYS", &days.to_string()));
        let ahead = |months| {
            let month = format!("to_char(current_date + interval '{months} months', '\"operations_\"YYYY_MM')");
            format!("SELECT coalesce(to_regclass({month})::text, 'none')")
        };
        assert_eq!(text(&mut session, &ahead(3)).unwrap(), "none");
        assert_eq!(text(&mut session, &ahead(0)).unwrap() == "none", days == 150);
        INTERVALS.iter().for_each(|interval| run(&mut session, &format!("ALTER SYSTEM RESET {interval}")));
        drop(session);
        pair.replica.stop(Stop::Fast).unwrap();
        pair.primary.stop(Stop::Fast).unwrap();

        pair.primary.start().unwrap();
        pair.replica.start().unwrap();
        pair.replica.wait_streaming(SOON).unwrap();
        pair.expect_well();
        let mut session = pair.primary.session().unwrap();
        wait_for_runs(&mut session, "operation_insert_one", "succeeded", 3);
        let pruned = "SELECT count(*) > 0 FROM operations_job_run_details \
                      WHERE job_name = 'operations_prune_job_history' AND finished_at > now() - interval '1 hour'";
        wait_for_text(&mut session, "the history to be pruned", pruned, "t");
        for months in 0..=3 {
            assert_ne!(text(&mut session, &ahead(months)).unwrap(), "none", "{months} months ahead");
        }
        let failed = "SELECT coalesce(string_agg(return_message, '; '), '') FROM operations_job_run_details WHERE status = 'failed'";
        assert_eq!(text(&mut session, failed).unwrap(), "", "after {days} days");
        let old = "SELECT count(*) FROM operations_job_run_details WHERE finished_at < now() - interval '7 days'";
        assert_eq!(value::<i64>(&mut session, old).unwrap(), 0, "after {days} days");
        INTERVALS.iter().for_each(|interval| set(&pair.primary, interval, "0"));
        wait_for_text(&mut session, "the jobs to rest", REST, "t");
        expect_equal(&pair.primary, &pair.replica);
        assert!(!pair.primary.log_contains("ERROR: ").unwrap(), "{}", pair.primary.log().unwrap());
    }
}
