#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use super::*;

fn named(pairs: &[(&str, &str)]) -> Named {
    Named(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[test]
fn what_is_given_wins_over_what_was_saved_and_that_over_the_default() {
    let saved = named(&[("PRIMARY_PORT", "6000"), ("REPLICA_PORT", "6001"), ("POSTGRES_DB", "mine")]);
    let settings = Settings::of(&named(&[("PRIMARY_PORT", "7000")]), &saved).unwrap();
    assert_eq!((settings.primary_port, settings.replica_port), (7000, 6001));
    assert_eq!((settings.database.as_str(), settings.replication_user.as_str()), ("mine", "replicator"));
    let error = settings.check_against_data(&named(&[("POSTGRES_USER", "me")])).unwrap_err().to_string();
    assert!(error.contains("POSTGRES_USER=postgres, but the demo's data were made with me"), "{error}");
}

#[test]
fn what_no_start_has_saved_is_dropped() {
    let saved = Named::parse("PRIMARY_PORT=80\nREPLICA_PORT=6001\nPATH=/tmp\nPOSTGRES_DB=\nPOSTGRES_PASSWORD=a=b\nx\n");
    assert_eq!((saved.get("REPLICA_PORT"), saved.get("POSTGRES_PASSWORD")), (Some("6001"), Some("a=b")));
    assert_eq!(saved.0.len(), 2, "{saved:?}");
}

#[test]
fn what_is_no_port_is_refused() {
    for value in ["http", "80", "65536", "+6000", "06000x", "5 432"] {
        let error = Settings::of(&named(&[("PRIMARY_PORT", value)]), &Named::default()).unwrap_err().to_string();
        assert_eq!(error, format!("PRIMARY_PORT={value} is no port: give a number from 1024 to 65535"));
    }
    let same = Settings::of(&named(&[("REPLICA_PORT", "5432")]), &Named::default()).unwrap_err().to_string();
    assert_eq!(same, "PRIMARY_PORT and REPLICA_PORT are both 5432: make them differ");
}

#[test]
fn what_is_no_number_of_rows_is_refused() {
    for value in ["-1", "abc", "+5", "1.5", "1e6", "10000000001", "99999999999999999999", " 5"] {
        let error = Settings::of(&named(&[(TEST_ROWS, value)]), &Named::default()).unwrap_err().to_string();
        let range = "give a whole number from 0 to 10000000000";
        assert_eq!(error, format!("OPERATIONS_TEST_ROWS={value} is no number of rows: {range}"));
    }
    for (value, rows) in [("0", 0), ("10000000000", 10_000_000_000)] {
        assert_eq!(Settings::of(&named(&[(TEST_ROWS, value)]), &Named::default()).unwrap().test_rows, rows);
    }
}

#[test]
fn what_is_no_batch_of_operations_is_refused() {
    for value in ["0", "-1", "abc", "+5", "1.5", "10001", "99999999999999999999"] {
        let error = Settings::of(&named(&[(INSERT_BATCH, value)]), &Named::default()).unwrap_err().to_string();
        let range = "give a whole number from 1 to 10000";
        assert_eq!(error, format!("OPERATIONS_INSERT_BATCH={value} is no number of operations: {range}"));
    }
    let saved = named(&[(INSERT_BATCH, "100")]).lasting();
    assert_eq!(Settings::of(&Named::default(), &saved).unwrap().insert_batch, 100);
}

#[test]
fn the_wal_level_is_one_that_replicas_can_follow() {
    for value in ["minimal", "Logical", "logical x"] {
        let error = Settings::of(&named(&[(WAL_LEVEL, value)]), &Named::default()).unwrap_err().to_string();
        assert_eq!(error, format!("WAL_LEVEL={value}: give replica or logical"));
    }
    let saved = named(&[(WAL_LEVEL, "logical")]);
    assert_eq!(Settings::of(&Named::default(), &saved).unwrap().wal_level, "logical");
}

#[test]
fn the_compose_way_has_the_same_settings() {
    let compose = include_str!("../../../compose.yaml");
    // There the service postgres_replica is scaled, and each replica follows the primary.
    for (name, usual) in DEFAULTS.into_iter().filter(|(name, _)| ![REPLICAS, CASCADE].contains(name)) {
        assert!(compose.contains(&format!("${{{name}:-{usual}}}")), "{name}");
    }
    // As initdb natively.
    assert!(compose.contains("${POSTGRES_INITDB_ARGS:---data-checksums}"));
}

#[test]
fn synchronous_is_on_or_off_and_stays_so() {
    let settings = |given: &[(&str, &str)]| Settings::of(&named(given), &named(&[(SYNC, "on")]).lasting());
    assert!(settings(&[]).unwrap().synchronous && !settings(&[(SYNC, "off")]).unwrap().synchronous);
    let error = settings(&[(SYNC, "yes")]).unwrap_err().to_string();
    assert_eq!(error, "SYNC=yes is neither on nor off");
}

#[test]
fn the_page_has_a_port_or_none() {
    let port =
        |text: &str| Settings::of(&named(&[(LAB_PORT, text)]), &Named::default()).map(|settings| settings.lab_port);
    assert_eq!(Settings::of(&Named::default(), &Named::default()).unwrap().lab_port, Some(8080));
    assert_eq!((port("off").unwrap(), port("0").unwrap(), port("9090").unwrap()), (None, None, Some(9090)));
    assert!(matches!(port("80"), Err(Error::Setting(SettingError::NoPort { name: LAB_PORT, .. }))));
    // Like the other ports, it is that of the last start.
    let saved = named(&[(LAB_PORT, "off")]);
    assert_eq!(saved.lab_port(), Some(None));
    assert_eq!(Settings::of(&Named::default(), &saved.lasting()).unwrap().lab_port, None);
}

#[test]
fn the_rows_are_those_of_the_first_start() {
    let saved = named(&[(TEST_ROWS, "20000")]);
    let said = |given: &Named, saved: &Named| {
        let mut settings = Settings::of(given, &saved.clone().lasting()).unwrap();
        let before = settings.test_rows;
        (settings.keep_test_rows(given, saved), before, settings.test_rows)
    };
    let (remark, before, after) = said(&named(&[(TEST_ROWS, "5")]), &saved);
    assert!(remark.is_some_and(|remark| remark.contains("5 is ignored")));
    assert_eq!((before, after), (5, 20000));
    assert_eq!(said(&named(&[(TEST_ROWS, "20000")]), &saved), (None, 20000, 20000));
    // Not given, and not made yet: a start that was cut short made nothing that lasts.
    assert_eq!(said(&named(&[]), &saved), (None, 100_000, 20000));
}

#[test]
fn a_password_comes_from_a_file_or_from_a_variable_and_not_from_both() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "se cret\n").unwrap();
    let path = file.path().to_string_lossy().into_owned();
    let from_file = |name: &str| (name == "POSTGRES_PASSWORD_FILE").then(|| path.clone());
    assert_eq!(Named::of(from_file).unwrap().get("POSTGRES_PASSWORD"), Some("se cret"));
    let both = |name: &str| name.starts_with("POSTGRES_PASSWORD").then(|| path.clone());
    assert!(matches!(Named::of(both), Err(Error::Setting(SettingError::GivenTwice { name: "POSTGRES_PASSWORD" }))));
}

#[test]
fn what_is_no_number_of_replicas_is_refused() {
    for value in ["0", "10", "x", "+3", "03", "1.5", "-1", " 2"] {
        let error = Settings::of(&named(&[(REPLICAS, value)]), &Named::default()).unwrap_err().to_string();
        assert_eq!(error, format!("REPLICAS={value} is no number of replicas: give a whole number from 1 to 9"));
    }
    let saved = named(&[(REPLICAS, "3"), (CASCADE, "on"), ("REPLICA_PORT", "6000")]).lasting();
    let settings = Settings::of(&Named::default(), &saved).unwrap();
    assert_eq!((settings.replicas, settings.cascades, settings.replica_port), (3, true, 6000));
    assert_eq!([0, 1, 2, 3].map(|number| settings.port(number)), [5432, 6000, 6001, 6002]);
}

#[test]
fn the_ports_of_all_replicas_are_theirs_alone() {
    let error = |pairs: &[(&str, &str)]| Settings::of(&named(pairs), &Named::default()).unwrap_err().to_string();
    let said = error(&[(REPLICAS, "3"), ("REPLICA_PORT", "5430")]);
    assert_eq!(said, "REPLICAS=3 takes the ports 5430 to 5432, and PRIMARY_PORT is 5432: move it, or REPLICA_PORT");
    let said = error(&[(REPLICAS, "2"), ("REPLICA_PORT", "8079")]);
    assert!(said.ends_with("and LAB_PORT is 8080: move it, or REPLICA_PORT"), "{said}");
    let said = error(&[(REPLICAS, "2"), ("REPLICA_PORT", "65535")]);
    assert!(said.starts_with("REPLICAS=2 takes the ports from REPLICA_PORT=65535 on"), "{said}");
}
