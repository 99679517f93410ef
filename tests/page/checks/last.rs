//! What the browser did meanwhile.

use operations_lab::checks::{Outcome, require, same};

use crate::viewer::Viewer;

pub fn nothing_leaves_the_page(viewer: &Viewer) -> Outcome {
    let requests = viewer.browser.requests()?;
    let own = format!("{}/", viewer.address);
    let others: Vec<_> = requests.iter().filter(|address| !address.starts_with(&own)).collect();
    require(requests.iter().any(|address| address.ends_with("/api/events")), "the browser's requests were not seen")?;
    same("requests elsewhere", &Vec::<&String>::new(), &others)
}

pub fn the_console_has_no_error(viewer: &Viewer) -> Outcome {
    same("the console", &Vec::<String>::new(), &viewer.browser.console()?)
}
