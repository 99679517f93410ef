//! Nothing is found where nothing is: not while a replica catches up, not in a load, not in a vacuum.

use operations_cluster::expect::run;
use operations_cluster::{Server, text};
use operations_lab::doctor::Verdict;

use crate::common::{Pair, well};

#[test]
fn a_hundred_looks_at_a_pair_at_work_find_nothing() {
    let pair = Pair::start();
    let mut looks = 0;
    std::thread::scope(|scope| {
        let work = scope.spawn(|| work(&pair.primary));
        while looks < 100 || !work.is_finished() {
            if let Err(text) = well(&pair.examine()) {
                panic!("look {looks}: {text}");
            }
            looks += 1;
        }
        work.join().unwrap();
    });
    let report = pair.examine();
    assert_eq!(report.verdict, Verdict::Ok);
    // It says who it asked, and that the replica is one.
    let states: Vec<_> = report.servers.iter().map(|server| server.state.as_str()).collect();
    assert_eq!(states, ["takes writes", "in recovery"]);
    // What the servers find by themselves is nothing, either, in full as in part.
    for (server, full) in [(&pair.primary, true), (&pair.primary, false), (&pair.replica, true), (&pair.replica, false)]
    {
        let query = format!("SELECT code, evidence FROM operations_doctor({full}) WHERE severity <> 'info'");
        assert_eq!(text(&mut server.session().unwrap(), &query).unwrap(), "");
    }
}

fn work(primary: &Server) {
    let mut session = primary.session().unwrap();
    for seed in 0..4 {
        for statement in [
            format!("CALL operations_test_data('2025-08-01', '2025-11-30', 100000, {seed})").as_str(),
            "CALL change_status(50000)",
            "VACUUM (ANALYZE) operations",
            "VACUUM client_type_sum_mv",
            "CALL operations_maintain_partitions()",
            // More WAL than a look waits for: the replica is caught in the middle of it.
            "CREATE TABLE bulk AS SELECT generate_series(1, 500000) AS n",
            "DROP TABLE bulk",
        ] {
            run(&mut session, statement);
        }
    }
}
