//! What make says when there is no demo yet, and when it cannot make one.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use operations_lab::checkout;
use operations_lab::checks::same;
use operations_lab::server::ports::listens;
use operations_lab::tools::Major;

use crate::user::{Outcome, User, program, require};

pub fn help_names_every_target(user: &User) -> Outcome {
    let none: [&str; 0] = [];
    user.succeeds(&none)?;
    for target in [
        "demo",
        "status",
        "doctor",
        "receipt",
        "drill",
        "drills",
        "failover",
        "rejoin",
        "psql",
        "stop",
        "clean",
        "test",
        "test-long",
        "test-all",
        "lint",
        "bench",
        "package",
    ] {
        user.printed(format!("make {target} "))?;
    }
    Ok(())
}

pub fn a_target_that_there_is_none_of(user: &User) -> Outcome {
    user.fails(&["bogus"])?;
    user.printed("error: there is no target \"bogus\": make help lists them")
}

pub fn without_a_demo(user: &User) -> Outcome {
    user.fails(&["status"])?;
    user.printed("There is no demo yet (make demo makes it)")?;
    user.fails(&["psql"])?;
    user.printed("error: the primary is not running: make demo starts it")?;
    user.fails(&["psql-replica"])?;
    user.printed("error: the replica is not running: make demo starts it")?;
    user.fails(&["receipt"])?;
    user.printed("error: there is no receipt in ")?;
    user.fails(&["failover"])?;
    user.printed("error: the replica is not running: make demo starts it")?;
    user.fails(&["rejoin"])?;
    user.printed("error: the primary is not running: make demo starts it")?;
    user.succeeds(&["stop"])?;
    user.printed("The demo is not running")?;
    user.succeeds(&["clean"])?;
    user.printed("There is no demo data")
}

/// A program and a cargo of the check's own: what they print says who was run.
pub fn cargo_is_asked_when_a_source_has_changed(user: &User) -> Outcome {
    let (target, bin) = (user.path("a $(target)"), user.make_folder("fake")?);
    let debug = user.make_folder("a $(target)/debug")?;
    let (program, source, list) =
        (debug.join("operations-lab"), user.path("a source.rs"), debug.join("operations-lab.d"));
    for (file, text) in
        [(&program, "#!/bin/sh\necho the program\n"), (&bin.join("cargo"), "#!/bin/sh\necho cargo\nexit 1\n")]
    {
        std::fs::write(file, text)?;
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o755))?;
    }
    std::fs::write(&source, "")?;
    std::fs::write(debug.join("operations-lab.asked"), "")?;
    let escaped = |path: &Path| path.display().to_string().replace(' ', "\\ ");
    let main = checkout().join("lab/src/main.rs");
    let of = |program: &Path, main: &Path| format!("{}: {} {}\n", escaped(program), escaped(&source), escaped(main));
    let path = std::env::var("PATH")?;
    let expect = |what: &str, wanted: &str| {
        let mut make = user.make(&["status"]);
        make.env("CARGO_TARGET_DIR", &target).env("PATH", format!("{}:{path}", bin.display()));
        user.run(make)?;
        same(what, wanted, user.output().lines().next().unwrap_or_default())
    };
    let asked = std::fs::metadata(debug.join("operations-lab.asked"))?.modified()?;
    let change = |time| File::options().write(true).open(&source).and_then(|file| file.set_modified(time));

    change(asked - Duration::from_secs(1))?;
    std::fs::write(&list, of(&program, &main))?;
    expect("nothing has changed", "the program")?;
    change(asked + Duration::from_secs(1))?;
    expect("a source has changed", "cargo")?;
    change(asked - Duration::from_secs(1))?;
    std::fs::write(&list, of(Path::new("/elsewhere/operations-lab"), &main))?;
    expect("the list is of another folder", "cargo")?;
    std::fs::write(&list, of(&program, Path::new("/elsewhere/lab/src/main.rs")))?;
    expect("the list is of another checkout", "cargo")?;
    std::fs::write(&list, "")?;
    expect("the list is empty", "cargo")?;
    std::fs::write(&list, of(&program, &main))?;
    std::fs::remove_file(&source)?;
    expect("a source is gone", "cargo")
}

/// The program of a package, where nobody has a checkout.
pub fn without_a_checkout(user: &User) -> Outcome {
    let nowhere = user.path("nowhere");
    for command in ["demo", "status", "doctor", "package", "failover", "test-servers"] {
        let mut lab = Command::new(program());
        lab.arg(command).env("OPERATIONS_CHECKOUT", &nowhere).stdin(Stdio::null());
        lab.env_remove("STATE_DIR").env_remove("DEMO_DIR").env_remove("OPERATIONS_TEST_DIR");
        require(!user.run(lab)?, format!("{command} succeeded"))?;
        user.printed("error: this takes a checkout of operations_ext")?;
    }
    require(!nowhere.exists(), "something was made")
}

pub fn wrong_pg_config(user: &User) -> Outcome {
    user.fails(&["demo", "PG_CONFIG=/bin/false"])?;
    user.printed("error: PG_CONFIG=/bin/false cannot be used: it is not a pg_config that runs")?;
    let old = user.path("pg_config");
    std::fs::write(&old, "#!/bin/sh\necho PostgreSQL 14.3\necho and more\n")?;
    std::fs::set_permissions(&old, PermissionsExt::from_mode(0o755))?;
    user.fails(&["demo", &format!("PG_CONFIG={}", old.display())])?;
    let wanted = Major::chosen()?;
    user.printed(format!("cannot be used: it is of PostgreSQL 14.3, and PostgreSQL {wanted} is needed"))
}

/// The one that is tested, and one that it is not.
pub fn majors() -> Outcome<(Major, Major)> {
    let wanted = Major::chosen()?;
    let other = Major::ALL.into_iter().find(|major| *major != wanted).ok_or("there is one major only")?;
    Ok((wanted, other))
}

pub fn wrong_major(user: &User) -> Outcome {
    user.fails(&["demo", "PG=14"])?;
    user.printed("error: PG=14 is no PostgreSQL that the extension is for: give 15, 16, 17 or 18")?;
    let (wanted, other) = majors()?;
    // It is of the PostgreSQL that PG_CONFIG names.
    user.fails(&["demo", &format!("PG={other}")])?;
    user.printed(format!("and PostgreSQL {other} is needed (PG={wanted} asks for the other one)"))
}

pub fn wrong_ports(user: &User) -> Outcome {
    user.fails(&["demo", "PRIMARY_PORT=http"])?;
    user.printed("error: PRIMARY_PORT=http is no port: give a number from 1024 to 65535")?;
    let port = user.primary_port;
    user.fails(&["demo", &format!("REPLICA_PORT={port}")])?;
    user.printed(format!("error: PRIMARY_PORT and REPLICA_PORT are both {port}: make them differ"))?;
    require(!user.demo("").exists(), "a folder was made")?;
    // To stop what is there, none of it is needed.
    user.succeeds(&["stop", "PRIMARY_PORT=http"])
}

pub fn wrong_test_rows(user: &User) -> Outcome {
    for rows in ["-1", "abc", "10000000001"] {
        let setting = format!("OPERATIONS_TEST_ROWS={rows}");
        user.fails(&["demo", &setting])?;
        user.printed(format!("error: {setting} is no number of rows: give a whole number from 0 to 10000000000"))?;
        require(!user.demo("").exists(), "a folder was made")?;
    }
    Ok(())
}

pub fn wrong_reclone(user: &User) -> Outcome {
    user.fails(&["demo", "REPLICA_RECLONE=yes"])?;
    user.printed("error: REPLICA_RECLONE=yes: give 1, promoted, always or nothing")?;
    require(!user.demo("primary").exists(), "a primary was made")
}

pub fn taken_port(user: &User) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let taken = listener.local_addr()?.port();
    user.fails(&["demo", &format!("PRIMARY_PORT={taken}")])?;
    user.printed(format!(
        "error: port {taken} of 127.0.0.1, for the primary, is taken: stop what listens there, or move the demo: \
         make demo PRIMARY_PORT="
    ))?;
    user.fails(&["demo", &format!("REPLICA_PORT={taken}"), "REPLICAS=2", "CASCADE=on", "POSTGRES_PASSWORD=secret"])?;
    let said = user.output();
    let typed = said.lines().find(|line| line.contains("make demo REPLICA_PORT=")).unwrap_or_default();
    require(typed.contains(" REPLICAS=2") && typed.contains(" CASCADE=on"), format!("what else was typed: {said}"))?;
    user.not_printed("secret")
}

pub fn folder_of_somebody_else(user: &User) -> Outcome {
    let folder = user.path("mine");
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("file"), "")?;
    let demo = format!("DEMO_DIR={}", folder.display());
    user.fails(&["demo", &demo])?;
    user.printed(format!("error: {demo} holds files but no demo: name a new or an empty folder"))?;
    user.succeeds(&["clean", &demo])?;
    require(folder.join("file").exists(), "clean deleted somebody else's file")
}

pub fn unreadable_password_file(user: &User) -> Outcome {
    let file = user.path("none");
    user.fails(&["demo", "POSTGRES_PASSWORD=", &format!("POSTGRES_PASSWORD_FILE={}", file.display())])?;
    user.printed(format!("error: POSTGRES_PASSWORD_FILE names {}, which cannot be read", file.display()))
}

pub fn servers_for_the_tests_of_an_application(user: &User) -> Outcome {
    let made = "SELECT count(*) || ' ' || pg_is_in_recovery() FROM operations;";
    let program = |script: &str| {
        let mut command = Command::new("bash");
        command.arg(checkout().join("native/lab.sh")).args([
            "test-servers",
            "--rows",
            "--replicas",
            "1",
            "--",
            "sh",
            "-c",
        ]);
        command
            .arg(script)
            .env("PG_CONFIG", &user.pg_config)
            .env("PSQL", user.bindir.join("psql"))
            .stdin(Stdio::null());
        command
    };
    let ask = format!("for url in $PRIMARY_URL $REPLICA_URL; do $PSQL -XAtc \"{made}\" $url || exit; done; exit 7");
    let status = user.run_for_status(program(&ask))?;
    require(status.code() == Some(7), format!("it ended with {status}: {}", user.output()))?;
    user.printed("20000 false")?;
    user.printed("20000 true")?;
    let status = user.run_for_status(program("echo $PRIMARY_URL"))?;
    require(status.success(), format!("it ended with {status}: {}", user.output()))?;
    let output = user.output();
    let port = output.lines().last().and_then(|url| url.rsplit_once(':')?.1.split('/').next()?.parse().ok());
    let port: u16 = port.ok_or_else(|| format!("no URL in {output}"))?;
    require(!listens(port), "a server is still there")
}
