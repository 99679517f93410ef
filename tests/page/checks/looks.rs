//! The page on a telephone and on a large screen, by day and by night.

use operations_lab::checks::{Outcome, same};

use crate::viewer::Viewer;

/// Longer pages are cut.
const HIGHEST: u64 = 12_000;

pub fn wide_and_narrow_light_and_dark(viewer: &Viewer) -> Outcome {
    at_all_sizes(viewer, "")
}

/// Nothing is beyond the edge; the pictures' names begin with this.
pub fn at_all_sizes(viewer: &Viewer, name: &str) -> Outcome {
    let browser = &viewer.browser;
    for width in [390, 1600] {
        browser.resize(width, 900)?;
        let beyond = "return [...document.querySelectorAll('body *:not(.unseen):not(.spoken):not(.skip)')].filter((one) => { \
            const box = one.getBoundingClientRect(); \
            return box.width > 0 && !one.closest('.unseen, .spoken, .skip, [hidden]') && (box.right > innerWidth + 1 || box.left < -1); \
            }).map((one) => `${one.tagName} ${one.className}`).slice(0, 5).join(', ')";
        same(format!("what is beyond the edge at {width} pixels"), "", browser.text(beyond)?.as_str())?;
        let height =
            browser.ask("return document.documentElement.scrollHeight")?.as_u64().unwrap_or(HIGHEST).min(HIGHEST);
        browser.resize(width, u32::try_from(height)?)?;
        for scheme in ["light", "dark"] {
            browser.prefer(scheme)?;
            let dark = browser.ask("return matchMedia('(prefers-color-scheme: dark)').matches")?;
            same("dark", &(scheme == "dark"), &(dark == true))?;
            browser.ask("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")?;
            viewer.picture(&format!("{name}{width}_{scheme}"))?;
        }
    }
    browser.resize(1600, 1000)?;
    browser.prefer("light")
}

/// WCAG 2.2, level AA: 4.5 for text, whatever the verdict is.
pub fn texts_have_contrast(viewer: &Viewer) -> Outcome {
    let weak = "const verdict = document.getElementById('verdict');
        const before = verdict.dataset.verdict;
        const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        const light = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
        const parts = (color) => color.match(/[\\d.]+/g).map(Number);
        const ground = (one) => {
          for (let at = one; at; at = at.parentElement) {
            const found = parts(getComputedStyle(at).backgroundColor);
            if (found.length < 4 || found[3] > 0) return found;
          }
          return [255, 255, 255];
        };
        const weak = new Set();
        for (const word of ['ok', 'degraded', 'broken', 'unknown', before]) {
          verdict.dataset.verdict = word;
          for (const one of document.querySelectorAll('body *')) {
            if (![...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim()) || !one.offsetParent) continue;
            const [text, behind] = [light(parts(getComputedStyle(one).color)), light(ground(one))];
            const ratio = (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05);
            if (ratio < 4.5) weak.add(`${ratio.toFixed(1)} ${one.tagName} ${one.className}`);
          }
        }
        return [...weak].join(', ')";
    for scheme in ["light", "dark"] {
        viewer.browser.prefer(scheme)?;
        let found = viewer.browser.text(weak);
        viewer.browser.prefer("light")?;
        same(format!("weak texts, {scheme}"), "", found?.as_str())?;
    }
    Ok(())
}
