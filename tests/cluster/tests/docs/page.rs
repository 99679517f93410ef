//! A Markdown page, as far as examples and links go.

use std::path::{Path, PathBuf};

use operations_cluster::repository;

/// What may stand behind an opening fence. Anything else could be a misspelt `sql`, which nothing would run.
const LANGUAGES: [&str; 7] = ["sql", "text", "sh", "console", "mermaid", "rust", "ini"];

const ON_THE_REPLICA: &str = "on the replica";
const EMPTY_DATABASE: &str = "<!-- examples: empty database -->";
const NOT_RUN: &str = "-- not run: ";

/// A page and its lines.
pub struct Page {
    /// Its path from the top of the checkout.
    pub name: String,
    text: String,
}

/// A ```sql block.
pub struct Example {
    /// The line of its fence, from 1.
    pub line: usize,
    pub sql: String,
    pub on_the_replica: bool,
    /// What the page says that it prints.
    pub output: Option<String>,
    /// Why it is not run.
    pub not_run: Option<String>,
}

struct Block {
    line: usize,
    /// The line of the closing fence, from 1.
    end: usize,
    info: String,
    text: String,
}

impl Page {
    /// The pages that people read: those at the top, and those in docs/.
    pub fn all() -> Vec<Self> {
        let mut files: Vec<PathBuf> = ["", "docs"]
            .iter()
            .flat_map(|folder| std::fs::read_dir(repository(folder)).unwrap().map(|entry| entry.unwrap().path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
            .collect();
        files.sort();
        let top = repository("").canonicalize().unwrap();
        let name = |file: &Path| {
            let file = file.canonicalize().unwrap();
            file.strip_prefix(&top).unwrap().display().to_string()
        };
        files.iter().map(|file| Self::parse(&name(file), &std::fs::read_to_string(file).unwrap())).collect()
    }

    pub fn parse(name: &str, text: &str) -> Self {
        let page = Self { name: name.to_owned(), text: text.to_owned() };
        for block in page.blocks() {
            let language = block.info.split(' ').next().unwrap_or_default();
            assert!(LANGUAGES.contains(&language), "{name}:{}: unknown language {:?}", block.line, block.info);
        }
        page
    }

    /// Whether its examples begin without the extension.
    pub fn wants_an_empty_database(&self) -> bool {
        self.text.lines().any(|line| line == EMPTY_DATABASE)
    }

    /// Its lines outside of fenced blocks.
    pub fn prose(&self) -> Vec<&str> {
        let blocks = self.blocks();
        let is_prose = |line: usize| !blocks.iter().any(|block| (block.line..=block.end).contains(&line));
        self.text.lines().enumerate().filter(|(index, _)| is_prose(index + 1)).map(|(_, line)| line).collect()
    }

    /// Its ```sql blocks.
    pub fn examples(&self) -> Vec<Example> {
        let blocks = self.blocks();
        let lines: Vec<_> = self.text.lines().collect();
        let mut examples = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            let place = match block.info.strip_prefix("sql").map(str::trim) {
                None => continue,
                Some(place) => place,
            };
            assert!(["", ON_THE_REPLICA].contains(&place), "{}:{}: {place:?}?", self.name, block.line);
            let next = blocks.get(index + 1).filter(|next| {
                next.info == "text" && lines[block.end..next.line - 1].iter().all(|line| line.trim().is_empty())
            });
            examples.push(Example {
                line: block.line,
                on_the_replica: place == ON_THE_REPLICA,
                output: next.map(|next| next.text.clone()),
                not_run: block.text.strip_prefix(NOT_RUN).map(|why| why.lines().next().unwrap_or_default().to_owned()),
                sql: block.text.clone(),
            });
        }
        examples
    }

    fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut open: Option<Block> = None;
        for (index, line) in self.text.lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            match (&mut open, fence) {
                (None, None) => {}
                (None, Some(info)) => {
                    let info = info.trim().to_owned();
                    open = Some(Block { line: index + 1, end: index + 1, info, text: String::new() });
                }
                (Some(block), None) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (Some(block), Some(_)) => {
                    block.end = index + 1;
                    blocks.extend(open.take());
                }
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.name);
        blocks
    }
}
