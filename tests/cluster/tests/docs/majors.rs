//! What differs between PostgreSQL's majors is in one folder.

use std::path::Path;

use operations_cluster::repository;

#[test]
fn only_one_folder_asks_which_major_it_is_compiled_for() {
    let mut asking = Vec::new();
    collect(&repository("src"), "src", &mut asking);
    asking.sort();
    asking.dedup();
    assert_eq!(asking, ["src/pg/major"], "folders with cfg(feature = \"pg..\")");
}

/// The folders whose files ask.
fn collect(folder: &Path, name: &str, asking: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = format!("{name}/{}", path.file_name().unwrap().to_string_lossy());
            collect(&path, &name, asking);
        } else if std::fs::read_to_string(&path).unwrap().contains("feature = \"pg1") {
            asking.push(name.to_owned());
        }
    }
}
