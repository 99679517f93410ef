//! docs/reference.md against the catalogs and the sources: nothing is missing, and signatures, columns, defaults and messages are
//! as they are.

use operations_cluster::{Server, repository, text};
use postgres::Client;

/// Each function and procedure as the page writes it: input arguments in lower case, without the casts of defaults.
const SIGNATURES: &str = r"
    select format('`%s(%s)`', p.proname, string_agg(
        concat_ws(' ', a.name, format_type(a.type, null),
                  'default ' || lower(regexp_replace((regexp_match(all_arguments, '\m' || a.name || ' [^,]* DEFAULT ([^,]*)'))[1],
                                                     '::.*', ''))),
        ', ' order by a.number) filter (where coalesce(p.proargmodes[a.number], 'i') = 'i'))
    from pg_proc p
    join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
    join pg_extension e on e.oid = d.refobjid and e.extname = 'operations_ext'
    cross join pg_get_function_arguments(p.oid) as all_arguments
    left join lateral unnest(p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality as a(name, type, number)
        on true
    group by p.oid, p.proname
    order by 1";

/// Each column of what the extension and operations_setup() make, with its relation.
const COLUMNS: &str = "
    select c.relname, a.attname
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
    order by 1, a.attnum";

/// Each column that a function returns, with the function.
const RESULTS: &str = "
    select p.proname, a.name
    from pg_proc p, unnest(p.proargnames, p.proargmodes) with ordinality as a(name, mode, number)
    where p.pronamespace = 'public'::regnamespace and a.mode in ('o', 't')
    order by 1, a.number";

const SETTINGS: &str = "
    select name, case when boot_val = '' then 'empty'
                      else format('`%s`', case unit when 'ms' then boot_val::int / 1000 || 's' else concat(boot_val, unit) end) end
    from pg_settings where name like 'operations\\_ext.%'";

fn page() -> String {
    std::fs::read_to_string(repository("docs/reference.md")).unwrap()
}

/// What the page does not have of all that it should have.
fn missing(session: &mut Client, page: &str) -> Vec<String> {
    let mut missing: Vec<String> = lines(session, SIGNATURES).into_iter().filter(|name| !page.contains(name)).collect();
    for line in lines(session, COLUMNS) {
        let (relation, column) = line.split_once('|').unwrap();
        if !told_of(page, relation).is_some_and(|told| told.contains(&format!("`{column}`"))) {
            missing.push(format!("column {relation}.{column}"));
        }
    }
    for line in lines(session, RESULTS) {
        let (function, column) = line.split_once('|').unwrap();
        // Those without a chapter are internal: a row says what they are.
        if told_of(page, function).is_some_and(|told| !told.contains(&format!("`{column}`"))) {
            missing.push(format!("column {column} of {function}()"));
        }
    }
    for line in lines(session, SETTINGS) {
        let (name, default) = line.split_once('|').unwrap();
        if !page.contains(&format!("| `{name}` | {default} |")) {
            missing.push(format!("setting {name}, default {default}"));
        }
    }
    missing
}

fn lines(session: &mut Client, query: &str) -> Vec<String> {
    let lines: Vec<_> = text(session, query).unwrap().lines().map(str::to_owned).collect();
    assert!(lines.len() > 3, "{query} finds too little: {lines:?}");
    lines
}

/// A relation's chapter, or its row among the internal objects.
fn told_of<'a>(page: &'a str, relation: &str) -> Option<&'a str> {
    match page.split_once(&format!("\n### {relation}\n")) {
        Some((_, chapter)) => chapter.split("\n#").next(),
        None => page.lines().find(|line| line.starts_with(&format!("| `{relation}` |"))),
    }
}

/// Whether a row of the page's table of errors has a message, `…` standing for what is filled in.
fn has_message(page: &str, message: &str) -> bool {
    let parts = message.split(['{', '}']).enumerate();
    let told: String = parts.map(|(index, part)| if index % 2 == 0 { part } else { "…" }).collect();
    page.contains(&format!("| `{told}` |"))
}

/// The messages of the extension's errors, from the attributes of the enum.
fn messages() -> Vec<String> {
    let source = std::fs::read_to_string(repository("src/error.rs")).unwrap();
    // rustfmt puts a long message on a line of its own.
    let of_attribute = |text: &str| {
        let text = text.trim_start().strip_prefix('"')?;
        let end = [text.find("\")]"), text.find("\"\n")].into_iter().flatten().min()?;
        Some(text[..end].replace('\\', ""))
    };
    let attributes: Vec<_> = source.split("#[error(").skip(1).collect();
    let messages: Vec<_> = attributes.iter().filter_map(|text| of_attribute(text)).collect();
    assert_eq!(messages.len(), attributes.len());
    assert!(messages.len() > 20);
    messages
}

#[test]
fn the_reference_lacks_nothing_and_is_right() {
    let server = Server::primary().with_worker().with_extension().start().unwrap();
    let mut session = server.session().unwrap();
    let page = page();
    assert_eq!(missing(&mut session, &page), Vec::<String>::new());
    for (right, wrong) in [
        ("p_batch integer default 20000", "p_batch integer default 2000"),
        ("`operations_schedule()`", "`operations_schedule(text)`"),
        ("| `last_status` |", "| `status_of_last` |"),
        ("`root_columns`", "`columns`"),
        ("`operations_ext.job_lock_timeout` | `10s`", "`operations_ext.job_lock_timeout` | `5s`"),
    ] {
        assert!(page.contains(right), "{right}");
        assert_eq!(missing(&mut session, &page.replace(right, wrong)).len(), 1, "{wrong}");
    }
}

#[test]
fn the_reference_has_each_message() {
    let page = page();
    let told: Vec<_> = messages().into_iter().filter(|message| !has_message(&page, message)).collect();
    assert_eq!(told, [""; 0], "left: messages of src/error.rs that the table of errors lacks");
    assert!(!has_message(&page, "{argument} must not be zero"));
}
