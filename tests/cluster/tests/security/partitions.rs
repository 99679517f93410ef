//! Partitions of `operations` that belong to somebody else than `operations`: what their owner put on them is never run with
//! the rights of the table's owner by one of our procedures.
//!
//! PostgreSQL itself runs a partition's triggers, checks and index expressions as whoever reads or writes the table. That the
//! owner of `operations` does not is the owner's to see to; that nobody else can have it done in the owner's name is ours.

use operations_cluster::expect::run;

use crate::lab::{Lab, MOLE};

/// A partition with all that its owner can put on it: what is constant in a check, an index or statistics is computed by
/// whoever plans a query.
const TABLE: &str = "\
    CREATE TABLE lair.month (LIKE public.operations INCLUDING DEFAULTS INCLUDING CONSTRAINTS); \
    ALTER TABLE lair.month ADD CONSTRAINT a_check CHECK (client_id > 0 OR lair.spring('check') = 2); \
    CREATE INDEX ON lair.month ((client_id + lair.spring('index expression'))); \
    CREATE INDEX ON lair.month (client_id) WHERE client_id > 0 OR lair.spring('index predicate') = 2; \
    CREATE STATISTICS lair.month_statistics ON (client_id + lair.spring('statistics')), amount FROM lair.month; \
    CREATE TRIGGER a_trigger BEFORE INSERT OR UPDATE OR DELETE ON lair.month FOR EACH ROW EXECUTE FUNCTION lair.spring_trigger()";

/// A partition that is partitioned itself, with the same on its part.
const TREE: &str = "\
    CREATE TABLE lair.month (LIKE public.operations INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (id); \
    CREATE TABLE lair.part PARTITION OF lair.month DEFAULT; \
    ALTER TABLE lair.part ADD CONSTRAINT a_check CHECK (client_id > 0 OR lair.spring('check') = 2); \
    CREATE INDEX ON lair.part ((client_id + lair.spring('index expression'))); \
    CREATE INDEX ON lair.part (client_id) WHERE client_id > 0 OR lair.spring('index predicate') = 2; \
    CREATE STATISTICS lair.part_statistics ON (client_id + lair.spring('statistics')), amount FROM lair.part; \
    CREATE TRIGGER a_trigger BEFORE INSERT OR UPDATE OR DELETE ON lair.part FOR EACH ROW EXECUTE FUNCTION lair.spring_trigger()";

const TRAPS: [&str; 4] = ["check", "index expression", "index predicate", "statistics"];

/// All that a role can be granted.
const CALLS: [&str; 12] = [
    "SELECT count(*) FROM client_type_sum_live",
    "SELECT count(*) FROM client_type_sum_mv",
    "CALL change_status(100)",
    "CALL operation_insert_one()",
    "CALL operations_test_data('2025-07-01', '2025-07-31', 100, 1)",
    "CALL operations_test_data('2025-06-01', '2025-08-31', 40000, 2, 2)",
    "SELECT count(*) FROM operations_verify_rollup()",
    "SELECT count(*) FROM operations_verify_rollup(true)",
    "CALL operations_maintain_partitions()",
    "CALL operations_maintain_partitions(8)",
    "SELECT count(*) FROM client_type_sum_live",
    "CALL operations_maintain_partitions(3, 0)",
];

/// The attacker's table as the partition of July 2025, and all procedures granted to the attacker.
fn lab(name: &str, table: &str, bounds: &str) -> Lab {
    let mut lab = Lab::new(name, MOLE);
    run(&mut lab.attacker(), table);
    let grants = "GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA public TO mole; \
                  GRANT EXECUTE ON FUNCTION operations_verify_rollup(boolean) TO mole";
    run(&mut lab.superuser(), grants);
    run(&mut lab.superuser(), &format!("ALTER TABLE operations ATTACH PARTITION lair.month {bounds}"));
    lab.expect_armed("SELECT count(*) FROM operations WHERE client_id = 1", &TRAPS);
    let insert = "INSERT INTO operations (operation_date, operation_guid, client_id, operation_type, amount, message) \
                  VALUES ('2025-07-15', gen_random_uuid(), 1, 'online', 1, '{}')";
    lab.expect_armed(insert, &["trigger a_trigger"]);
    lab
}

fn attack(name: &str, table: &str, bounds: &str) {
    let mut lab = lab(name, table, bounds);
    let breaches = lab.breaches(MOLE, &CALLS);
    assert!(breaches.is_empty(), "ran with rights that its owner does not have:\n{}", breaches.join("\n"));
}

#[test]
fn a_partition_of_somebody_else_lends_its_owner_no_rights() {
    attack("partition", TABLE, "FOR VALUES FROM ('2025-07-01') TO ('2025-08-01')");
}

#[test]
fn a_partition_of_partitions_lends_its_owner_no_rights() {
    attack("partition_tree", TREE, "FOR VALUES FROM ('2025-07-01') TO ('2025-08-01')");
}

#[test]
fn a_default_partition_of_somebody_else_lends_its_owner_no_rights() {
    attack("partition_default", TABLE, "DEFAULT");
}

#[test]
fn a_default_partition_of_partitions_lends_its_owner_no_rights() {
    attack("partition_default_tree", TREE, "DEFAULT");
}
