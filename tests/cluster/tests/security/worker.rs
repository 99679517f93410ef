//! The worker runs jobs as who scheduled them. Whoever comes to own `operations` later does not get those rights.

use operations_cluster::expect::{run, wait_for_runs};
use operations_cluster::{DATABASE, Server};

use crate::lab::sprung_in;

const TRAP: &str = "CREATE SCHEMA lair; \
    CREATE FUNCTION lair.spring_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        RAISE LOG 'SPRUNG;%;%;%;', current_database(), 'trigger ' || tg_name, current_user; RETURN new; END $$";

/// The jobs were scheduled by the superuser, who owned the table then; `heir` has come to own it. `statements` are the heir's.
fn superusers_jobs_with(gift: &str, statements: &str) {
    let server = Server::primary().with_fast_worker().with_extension().start().unwrap();
    let mut superuser = server.session().unwrap();
    run(&mut superuser, "CALL operations_schedule()");
    wait_for_runs(&mut superuser, "operation_insert_one", "succeeded", 1);
    let heir =
        format!("CREATE ROLE heir LOGIN PASSWORD '{}'; GRANT CREATE ON DATABASE {DATABASE} TO heir", server.password());
    run(&mut superuser, &format!("{heir}; {gift}"));
    let mut session = server.connect_as("heir", DATABASE).unwrap();
    run(&mut session, TRAP);
    run(&mut session, statements);
    let runs = "SELECT count(*) FROM operations_job_run_details WHERE job_name = 'operation_insert_one'";
    let before = operations_cluster::value::<i64>(&mut superuser, runs).unwrap();
    // Run or refused, the job has ended twice with what the heir made.
    operations_cluster::wait_until("two more runs to end", operations_cluster::expect::SOON, || {
        match operations_cluster::value::<i64>(&mut superuser, runs).unwrap() {
            now if now >= before + 2 => Ok(()),
            now => Err(format!("{now} runs after {before}")),
        }
    });
    let sprung = sprung_in(&server.log().unwrap(), DATABASE);
    assert!(sprung.iter().all(|sprung| sprung.role == "heir"), "ran with the superuser's rights: {:?}", sprung.first());
}

const TRIGGER: &str =
    "CREATE TRIGGER t BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION lair.spring_trigger()";

#[test]
fn a_new_owner_of_the_table_does_not_get_the_rights_of_who_scheduled() {
    let gift = "ALTER TABLE operations OWNER TO heir; DO $$ DECLARE month regclass; BEGIN \
        FOR month IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'operations'::regclass LOOP \
            EXECUTE format('ALTER TABLE %s OWNER TO heir', month); END LOOP; END $$";
    superusers_jobs_with(gift, TRIGGER);
}

#[test]
fn an_owner_of_the_database_who_replaces_the_table_does_not_get_the_rights_of_who_scheduled() {
    let replace = format!(
        "DROP TABLE operations CASCADE; CREATE TABLE operations (id bigint GENERATED ALWAYS AS IDENTITY, operation_date date, \
         operation_guid uuid, client_id int, operation_type operation_type_enum, amount numeric(12, 2), status smallint, \
         message jsonb) PARTITION BY RANGE (operation_date); CREATE TABLE operations_rest PARTITION OF operations DEFAULT; {TRIGGER}"
    );
    superusers_jobs_with(&format!("ALTER DATABASE {DATABASE} OWNER TO heir"), &replace);
}
