//! What only a server with the contrib modules can tell of a load.

use operations_lab::checks::{Outcome, require};
use operations_lab::server::text;

use crate::contents::are_equal;
use crate::demo::{DATABASE, Demo, USER};

pub fn loads_leave_sound_tables_and_indexes(demo: &Demo) -> Outcome {
    demo.need()?;
    let primary = demo.primary();
    // New months, months with rows, and, three months ahead, empty ones: beside the jobs, and by several processes.
    let (mut session, heard) = primary.connect_and_hear()?;
    for load in [
        "'2023-01-01', '2023-06-30', 120000, 1, 3",
        "'2023-04-01', '2023-09-30', 120000, 2, 3",
        "(date_trunc('month', current_date) + interval '1 month')::date,
         (date_trunc('month', current_date) + interval '4 months')::date - 1, 90000, 3, 3",
    ] {
        text(&mut session, &format!("CALL public.operations_test_data({load})"))?;
    }
    let heard = heard.all();
    require(
        heard.iter().any(|notice| notice.contains("rows in place")),
        format!("no month was filled in place: {heard:?}"),
    )?;
    let rows = "SELECT pg_catalog.count(*) >= 330000 FROM public.operations
        WHERE operation_date < '2024-01-01' OR operation_date >= pg_catalog.date_trunc('month', current_date) + interval '1 month'";
    primary.answers("all rows of the three loads are there", rows, "t")?;

    let leaves = "pg_catalog.pg_partition_tree('public.operations') AS t";
    primary.ask("CREATE EXTENSION IF NOT EXISTS amcheck")?;
    let damaged =
        format!("SELECT pg_catalog.count(*) FROM {leaves}, LATERAL public.verify_heapam(t.relid) WHERE t.isleaf");
    primary.answers("damaged places of the heap", &damaged, "0")?;
    primary.ask(&format!(
        "SELECT public.bt_index_parent_check(i.indexrelid, true, true) FROM {leaves}
         JOIN pg_catalog.pg_index AS i ON i.indrelid = t.relid WHERE t.isleaf"
    ))?;
    let amcheck = ["pg_amcheck", "--heapallindexed", "--username", USER, "--database", DATABASE];
    primary.container()?.exec("postgres", &[&amcheck[..], &["--table", "public.operations*"]].concat())?;
    primary.ask("DROP EXTENSION amcheck")?;

    primary.ask("CREATE EXTENSION IF NOT EXISTS pg_visibility")?;
    let wrong = format!(
        "SELECT pg_catalog.count(*) FROM {leaves}, LATERAL (SELECT * FROM public.pg_check_visible(t.relid)
         UNION ALL SELECT * FROM public.pg_check_frozen(t.relid)) AS f WHERE t.isleaf"
    );
    primary.answers("rows that are not as visible, or as frozen, as the visibility map says", &wrong, "0")?;
    primary.ask("DROP EXTENSION pg_visibility")?;
    are_equal(demo)
}
