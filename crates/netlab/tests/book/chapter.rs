//! A chapter as the rules and the shell need it.

use std::fs;
use std::path::{Path, PathBuf};

use fleetcast_netlab::command_line::shipped;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A chapter, with the files that it includes.
pub(crate) struct Chapter {
    /// Path in `docs/src`.
    pub(crate) name: String,
    pub(crate) blocks: Vec<Block>,
    pub(crate) links: Vec<Word>,
    /// What is in single backticks.
    pub(crate) spans: Vec<Word>,
}

/// A code block.
#[derive(Clone)]
pub(crate) struct Block {
    /// File of the repository and line of its fence.
    pub(crate) place: Place,
    /// What follows the fence: the language, and after commas what is to be done with the block. `None` if it is indented.
    pub(crate) info: Option<String>,
    pub(crate) text: String,
    /// Whether nothing is between the block before and this one.
    pub(crate) follows: bool,
}

/// A link or a name, and where it is.
pub(crate) struct Word {
    pub(crate) place: Place,
    pub(crate) text: String,
}

/// File of the repository, and line in it.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Paths in `docs/src` of the chapters that SUMMARY.md names, in its order.
pub(crate) fn summary() -> Vec<String> {
    let text = fs::read_to_string(shipped("docs/src/SUMMARY.md")).unwrap();
    let link = |event| match event {
        Event::Start(Tag::Link { dest_url, .. }) => Some(dest_url.into_string()),
        _ => None,
    };
    Parser::new(&text).filter_map(link).collect()
}

impl Chapter {
    /// Reads a chapter of the book, by its path in `docs/src`.
    pub(crate) fn read(name: &str) -> Result<Self, String> {
        let mut source = Source::default();
        source.add(&format!("docs/src/{name}"))?;
        Ok(source.parse(name))
    }

    /// A chapter of this text alone.
    pub(crate) fn of(text: &str) -> Self {
        let mut source = Source::default();
        for (index, line) in text.lines().enumerate() {
            source.push("chapter.md", index + 1, line);
        }
        source.parse("chapter.md")
    }
}

/// Markdown with the includes in place.
#[derive(Default)]
struct Source {
    text: String,
    /// Where each line of the text is from, with its offset in the text.
    lines: Vec<(usize, Place)>,
}

impl Source {
    fn push(&mut self, file: &str, line: usize, text: &str) {
        self.lines.push((self.text.len(), Place { file: file.to_owned(), line }));
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// Adds a file, and those that it includes.
    fn add(&mut self, file: &str) -> Result<(), String> {
        let text = fs::read_to_string(shipped(file)).map_err(|error| format!("{file}: {error}"))?;
        for (index, line) in text.lines().enumerate() {
            let here = Place { file: file.to_owned(), line: index + 1 };
            match line.strip_prefix("{{#include ").and_then(|rest| rest.strip_suffix("}}")) {
                Some(name) if name.contains(':') => return Err(format!("{here}: only whole files can be included")),
                Some(name) => self.add(&beside(file, name)).map_err(|error| format!("{here}: {error}"))?,
                None if line.contains("{{#") => {
                    return Err(format!("{here}: an include has a line of its own, and no other directive is known"));
                }
                None => self.push(file, here.line, line),
            }
        }
        Ok(())
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.lines.partition_point(|(start, _)| *start <= offset) - 1;
        self.lines[line].1.clone()
    }

    fn parse(&self, name: &str) -> Chapter {
        let mut chapter = Chapter { name: name.to_owned(), blocks: Vec::new(), links: Vec::new(), spans: Vec::new() };
        let mut block: Option<Block> = None;
        let mut follows = false;
        for (event, range) in Parser::new_ext(&self.text, Options::ENABLE_TABLES).into_offset_iter() {
            let place = self.place(range.start);
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = match kind {
                        CodeBlockKind::Fenced(info) => Some(info.into_string()),
                        CodeBlockKind::Indented => None,
                    };
                    block = Some(Block { place, info, text: String::new(), follows });
                }
                Event::End(TagEnd::CodeBlock) => {
                    chapter.blocks.extend(block.take());
                    follows = true;
                    continue;
                }
                Event::Text(text) if block.is_some() => block.as_mut().unwrap().text.push_str(&text),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    chapter.links.push(Word { place, text: dest_url.into_string() });
                }
                Event::Code(text) => chapter.spans.push(Word { place, text: text.into_string() }),
                _ => {}
            }
            follows = false;
        }
        chapter
    }
}

/// Path of the repository that `name` means in `file`.
fn beside(file: &str, name: &str) -> String {
    let mut path = PathBuf::from(file);
    path.pop();
    for part in Path::new(name) {
        if part == ".." {
            path.pop();
        } else {
            path.push(part);
        }
    }
    path.into_os_string().into_string().unwrap()
}
