//! The files of the page, which are part of the program.

/// A file: its path, its type, and what is in it.
pub type File = (&'static str, &'static str, &'static [u8]);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! page {
    ($($path:literal $name:literal $kind:expr;)+) => {
        &[$(($path, $kind, include_bytes!(concat!("../../page/", $name)))),+]
    };
}

/// All of them.
pub const FILES: &[File] = page! {
    "/" "index.html" HTML;
    "/icon.svg" "icon.svg" IMAGE;
    "/page.css" "page.css" CSS;
    "/uplot.css" "uplot.css" CSS;
    "/elements.js" "elements.js" SCRIPT;
    "/looks.js" "looks.js" SCRIPT;
    "/loads.js" "loads.js" SCRIPT;
    "/marks.js" "marks.js" SCRIPT;
    "/months.js" "months.js" SCRIPT;
    "/page.js" "page.js" SCRIPT;
    "/panels.js" "panels.js" SCRIPT;
    "/plots.js" "plots.js" SCRIPT;
    "/servers.js" "servers.js" SCRIPT;
    "/store.js" "store.js" SCRIPT;
    "/stream.js" "stream.js" SCRIPT;
    "/text.js" "text.js" SCRIPT;
    "/timeline.js" "timeline.js" SCRIPT;
    "/uplot.js" "uplot.js" SCRIPT;
    "/verdict.js" "verdict.js" SCRIPT;
};

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows `before` up to the next quotation mark, wherever that is in a text.
    fn named<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
        text.split(before).skip(1).filter_map(|rest| rest.split('"').next())
    }

    #[test]
    fn all_that_the_page_names_is_served() {
        let served = |path: &str| FILES.iter().any(|(known, ..)| *known == path);
        for (file, _, bytes) in FILES {
            let text = String::from_utf8_lossy(bytes);
            for path in named(&text, "from \"./") {
                assert!(served(&format!("/{path}")), "{file} imports {path}");
            }
            for path in ["href=\"", "src=\""].into_iter().flat_map(|before| named(&text, before)) {
                assert!(served(path) || path == "/metrics" || path.starts_with('#'), "{file} names {path}");
            }
        }
    }

    #[test]
    fn uplot_is_as_it_was_published() {
        let folder = crate::checkout().join("lab/page");
        let readme = std::fs::read_to_string(folder.join("README.md")).unwrap_or_default();
        for file in ["uplot.js", "uplot.css"] {
            let output = std::process::Command::new("sha256sum").arg(folder.join(file)).output();
            let output = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            let hash = output.split(' ').next().unwrap_or_default();
            assert!(hash.len() == 64 && readme.contains(&format!("| `{file}` | `{hash}` |")), "{file} has {hash}");
        }
    }

    #[test]
    fn the_page_has_no_script_or_style_of_its_own() {
        let page = String::from_utf8_lossy(FILES[0].2);
        assert!(!page.contains("<style") && !page.contains("style="), "{page}");
        assert!(page.split("<script").skip(1).all(|script| script.contains("src=\"/")), "{page}");
        // An attribute such as onclick=.
        let begins_attribute = |rest: &str| rest.trim_start_matches(|c: char| c.is_ascii_lowercase()).starts_with('=');
        assert!(!page.split(" on").skip(1).any(begins_attribute), "{page}");
        for (file, _, bytes) in FILES.iter().filter(|(file, ..)| !file.contains("uplot")) {
            let text = String::from_utf8_lossy(bytes);
            for forbidden in ["innerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!text.contains(forbidden), "{file} has {forbidden}");
            }
        }
    }
}
