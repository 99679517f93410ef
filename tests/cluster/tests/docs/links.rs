//! The links of a page.

use std::path::{Component, Path, PathBuf};

use operations_cluster::repository;

use crate::page::Page;

/// Where the links of a page lead, those to other sites left out.
pub fn of(page: &Page) -> Vec<String> {
    let mut links = Vec::new();
    for line in page.prose() {
        let line = without_code(line);
        for rest in line.split("](").skip(1) {
            links.extend(rest.split_once(')').map(|(target, _)| target.to_owned()));
        }
    }
    links.retain(|link| !["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)));
    links
}

/// Those that lead to no file, or to a heading that its page does not have.
pub fn broken(page: &Page, pages: &[Page]) -> Vec<String> {
    let leads_somewhere = |link: &String| {
        let (file, anchor) = link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
        let target = if file.is_empty() { page.name.clone() } else { beside(&page.name, file) };
        let exists = repository(&target).exists();
        exists
            && anchor.is_none_or(|anchor| {
                let target = pages.iter().find(|page| page.name == target);
                target.is_some_and(|target| anchors(target).iter().any(|known| known == anchor))
            })
    };
    of(page).iter().filter(|link| !leads_somewhere(link)).map(|link| format!("{}: {link}", page.name)).collect()
}

/// The path of a file, named as seen from a page, from the top of the checkout.
fn beside(page: &str, file: &str) -> String {
    let mut path = PathBuf::from(page);
    path.pop();
    for part in Path::new(file).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    path.display().to_string()
}

/// The names that GitHub gives the headings of a page.
fn anchors(page: &Page) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for line in page.prose() {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().to_lowercase().replace(' ', "-");
        let name: String = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
        let same = anchors
            .iter()
            .filter(|known| known.trim_end_matches(|c: char| c.is_ascii_digit()) == format!("{name}-"))
            .count();
        let again = anchors.contains(&name);
        anchors.push(if again { format!("{name}-{}", same + 1) } else { name });
    }
    anchors
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

#[test]
fn wrong_links_are_found() {
    let page = Page::parse(
        "docs/page.md",
        "# A page: of `code`\n[a](#a-page-of-code) [b](#b) [c](../README.md) [d](../no.md) [e](https://example.com)\n\
         `[f](f.md)`\n## Again\n## Again\n[g](page.md#again-1) [h](page.md#again-2)\n```text\n[i](i.md)\n```\n",
    );
    // The page itself is no file: what leads to it by name is broken, too.
    assert_eq!(
        broken(&page, &[]),
        ["#a-page-of-code", "#b", "../no.md", "page.md#again-1", "page.md#again-2"]
            .map(|link| format!("docs/page.md: {link}"))
    );
    assert_eq!(anchors(&page), ["a-page-of-code", "again", "again-1"]);
    assert_eq!(beside("docs/page.md", "../README.md"), "README.md");
}
