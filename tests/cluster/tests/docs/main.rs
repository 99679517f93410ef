//! README.md, CONTRIBUTING.md and docs/ are true: every ```sql block is run on a real server and its output compared, and every
//! link leads somewhere.
//!
//! CONTRIBUTING.md, "Examples in the pages", has the conventions.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod examples;
mod links;
mod majors;
mod output;
mod page;
mod reference;

use page::Page;

#[test]
fn each_example_prints_what_its_page_says() {
    let pages: Vec<_> = Page::all().into_iter().filter(|page| !page.examples().is_empty()).collect();
    let failures: Vec<String> = std::thread::scope(|scope| {
        let pages: Vec<_> = pages.iter().map(|page| scope.spawn(|| examples::failures(page))).collect();
        pages.into_iter().flat_map(|page| page.join().unwrap()).collect()
    });
    let (mut compared, mut run) = (0, 0);
    for (page, example) in pages.iter().flat_map(|page| page.examples().into_iter().map(move |example| (page, example)))
    {
        match &example.not_run {
            Some(why) => operations_cluster::expect::skipped(&format!("{}:{}", page.name, example.line), why),
            None => run += 1,
        }
        compared += usize::from(example.not_run.is_none() && example.output.is_some());
    }
    assert!(failures.is_empty(), "{} of {run} examples are wrong:\n\n{}", failures.len(), failures.join("\n"));
    // The pages were read: were a fence overlooked, nothing else would say so.
    assert!(run > 30 && compared > 20, "{run} examples were run, of {compared} the output was compared");
}

#[test]
fn examples_that_are_wrong_are_found() {
    let page = Page::parse("wrong.md", WRONG);
    let failures = examples::failures(&page);
    let lines: Vec<_> = failures.iter().filter_map(|failure| failure.split(' ').next()).collect();
    assert_eq!(lines, ["wrong.md:11", "wrong.md:21", "wrong.md:25", "wrong.md:33", "wrong.md:41"], "{failures:#?}");
}

/// One right example, and then: another value, an error without output, an error that does not come, a notice that is not
/// said, another SQLSTATE.
const WRONG: &str = r"<!-- examples: empty database -->
```sql
select 1 as one, now() > '2000-01-01' as later;
```
```text
 one | later
-----+-------
   1 | …
(1 row)
```
```sql
select 1 as one, 2 as two;
```
```text
 one | two
-----+-----
   1 |   3
(1 row)
```

```sql
call nothing();
```

```sql
select 1;
```
```text
ERROR:  42883: procedure nothing() does not exist
…
```

```sql
do $$ begin raise notice 'said'; end $$;
select 1 as one;
```
```text
 one
…
```
```sql
select 1 / 0;
```
```text
ERROR:  22003: division by zero
```
```sql
-- not run: it would fail
call nothing();
```
";

#[test]
fn links_lead_to_pages_and_headings() {
    let pages = Page::all();
    let broken: Vec<_> = pages.iter().flat_map(|page| links::broken(page, &pages)).collect();
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
    let links: usize = pages.iter().map(|page| links::of(page).len()).sum();
    assert!(links > 20, "found only {links} links");
}
