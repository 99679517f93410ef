//! A demo of what packages have installed: nothing is compiled.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

use operations_lab::checkout;

use crate::user::{Outcome, User, program, require};

/// A checkout as it is after a clone, on a machine without Rust that has the program and the extension.
pub fn what_is_installed_is_used(user: &User) -> Outcome {
    let (clone, bin) = (user.make_folder("clone")?, user.make_folder("bin")?);
    let mut copy = Command::new("sh");
    let files = "git -c safe.directory='*' ls-files -z --cached --others --exclude-standard";
    copy.args(["-euc", &format!("{files} | xargs -0 cp --parents --target-directory \"$1\""), "sh"]).arg(&clone);
    copy.current_dir(checkout());
    require(user.run(copy)?, "the checkout cannot be copied")?;
    symlink(program(), bin.join("operations-lab"))?;
    let make = |target: &str, more: &[(&str, &str)]| {
        let mut make = user.make(&[target]);
        // The last counts: another checkout than that of the tests.
        make.arg("-C").arg(&clone).env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        make.env_remove("CARGO_TARGET_DIR").env_remove("EXTENSION").env_remove("OPERATIONS_CHECKOUT");
        make.envs(more.iter().copied());
        make
    };

    let started = Instant::now();
    require(user.run(make("demo", &[]))?, "make demo failed")?;
    let took = started.elapsed();
    user.printed("Using operations_ext ")?;
    user.printed(" as it is installed beside ")?;
    user.printed("EXTENSION=build builds it")?;
    user.printed("/bin/operations-lab, of version ")?;
    user.not_printed("Building")?;
    // 20 s on a machine that does nothing else.
    require(took < Duration::from_secs(60), format!("it took {} s", took.as_secs()))?;
    require(!clone.join("target").exists(), "something was compiled")?;
    require(user.on_primary("select count(*) >= 20000 from operations")? == "t", "there are no rows")?;
    require(user.run(make("clean", &[]))?, "make clean failed")?;

    require(!user.run(make("demo", &[("EXTENSION", "mine")]))?, "EXTENSION=mine was taken")?;
    user.printed("error: EXTENSION=mine: give installed, build or nothing")?;
    // Another version of its SQL is not it.
    let script = clone.join("operations_ext.control");
    std::fs::write(&script, std::fs::read_to_string(&script)? + "# another\n")?;
    require(!user.run(make("demo", &[("EXTENSION", "installed")]))?, "another extension was taken")?;
    user.printed("does not have operations_ext ")?;
    user.printed("make demo EXTENSION=build")?;
    require(user.run(make("clean", &[]))?, "make clean failed")
}
