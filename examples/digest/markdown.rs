//! Markdown to blocks of prose, by the CommonMark parser.
//!
//! Code blocks, images, HTML, front matter and blocks that hold nothing but links (badges, tables of
//! contents) are left out; inline code stays, since sentences need it.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::blocks::{Block, Role};

const OPTIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_GFM)
    .union(Options::ENABLE_YAML_STYLE_METADATA_BLOCKS);

/// The prose of a Markdown text.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut reader = Reader::default();
    for event in Parser::new_ext(text, OPTIONS) {
        reader.read(event);
    }
    reader.close();
    reader.blocks
}

/// The first heading of the first level that has words. Deeper ones name parts, not the whole.
pub fn title(text: &str) -> Option<String> {
    let mut reader = Reader::default();
    let mut at_top_level = false;
    for event in Parser::new_ext(text, OPTIONS) {
        let ended = matches!(event, Event::End(TagEnd::Heading(HeadingLevel::H1)));
        at_top_level |= matches!(event, Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }));
        if at_top_level {
            reader.read(event);
        }
        if ended {
            at_top_level = false;
            let title = reader.blocks.pop().filter(|block| block.role == Role::Heading);
            if title.is_some() {
                return title.map(|block| block.text);
            }
        }
    }
    None
}

/// Gathers the text of the block that is open, and knows what is not to be gathered.
#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    text: String,
    heading: bool,
    cell: bool,
    items_open: usize,
    skipped_open: usize,
    links_open: usize,
    outside_links: bool,
}

impl Reader {
    fn read(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Code(text) | Event::InlineMath(text) => self.push(&text),
            Event::SoftBreak | Event::HardBreak => self.text.push(' '),
            Event::DisplayMath(_) | Event::Html(_) | Event::InlineHtml(_) => {}
            Event::FootnoteReference(_) | Event::TaskListMarker(_) => {}
            Event::Rule => self.close(),
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Heading { .. } => self.open(|reader| reader.heading = true),
            Tag::TableCell => self.open(|reader| reader.cell = true),
            Tag::Item => self.open(|reader| reader.items_open += 1),
            Tag::CodeBlock(_) | Tag::MetadataBlock(_) => self.open(|reader| reader.skipped_open += 1),
            Tag::Image { .. } => self.skipped_open += 1,
            Tag::Link { .. } => self.links_open += 1,
            Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Superscript | Tag::Subscript => {}
            Tag::Paragraph
            | Tag::BlockQuote(_)
            | Tag::HtmlBlock
            | Tag::List(_)
            | Tag::FootnoteDefinition(_) => self.close(),
            Tag::DefinitionList | Tag::DefinitionListTitle | Tag::DefinitionListDefinition => self.close(),
            Tag::Table(_) | Tag::TableHead | Tag::TableRow => self.close(),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) | TagEnd::TableCell => {
                self.close();
                (self.heading, self.cell) = (false, false);
            }
            TagEnd::Item => {
                self.close();
                self.items_open = self.items_open.saturating_sub(1);
            }
            TagEnd::CodeBlock | TagEnd::MetadataBlock(_) | TagEnd::Image => {
                self.skipped_open = self.skipped_open.saturating_sub(1);
            }
            TagEnd::Link => self.links_open = self.links_open.saturating_sub(1),
            TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript => {}
            TagEnd::Paragraph | TagEnd::BlockQuote(_) | TagEnd::HtmlBlock | TagEnd::List(_) => self.close(),
            TagEnd::FootnoteDefinition | TagEnd::Table | TagEnd::TableHead | TagEnd::TableRow => self.close(),
            TagEnd::DefinitionList | TagEnd::DefinitionListTitle | TagEnd::DefinitionListDefinition => {
                self.close()
            }
        }
    }

    fn push(&mut self, text: &str) {
        if self.skipped_open == 0 {
            self.outside_links |= self.links_open == 0 && text.contains(char::is_alphanumeric);
            self.text.push_str(text);
        }
    }

    fn open(&mut self, change: impl FnOnce(&mut Self)) {
        self.close();
        change(self);
    }

    /// Ends the open block; what is only links is kept where it is a title or a cell, and dropped elsewhere.
    fn close(&mut self) {
        let role = self.role();
        if self.outside_links || matches!(role, Role::Heading | Role::Cell) {
            self.blocks.extend(Block::new(role, &self.text));
        }
        self.text.clear();
        self.outside_links = false;
    }

    fn role(&self) -> Role {
        match (self.heading, self.cell, self.items_open) {
            (true, _, _) => Role::Heading,
            (_, true, _) => Role::Cell,
            (_, _, 0) => Role::Paragraph,
            (_, _, _) => Role::Item,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(Role, String)> {
        blocks(text).into_iter().map(|block| (block.role, block.text)).collect()
    }

    #[test]
    fn only_prose_is_kept() {
        // Property: badges, code, HTML, images and front matter vanish; inline code, links' words and cells stay.
        let text = "---\nx: y\n---\n# The `Title`\n\n[![badge](a)](b) [docs](c)\n\nSome *prose* with `code`\nand a \
            [link](d).\n\n```rust\nlet hidden = 1;\n```\n\n<p>hidden</p>\n\n- one\n\n  more\n- [toc](#x)\n\n\
            | h | i |\n|---|---|\n| c | d |\n";
        assert_eq!(
            read(text),
            [
                (Role::Heading, "The Title".into()),
                (Role::Paragraph, "Some prose with code and a link.".into()),
                (Role::Item, "one".into()),
                (Role::Item, "more".into()),
                (Role::Cell, "h".into()),
                (Role::Cell, "i".into()),
                (Role::Cell, "c".into()),
                (Role::Cell, "d".into()),
            ]
        );
    }

    #[test]
    fn the_title_is_the_first_heading_of_the_first_level() {
        // Property: a logo or a preface before the title does not hide it; a deeper heading is no title.
        assert_eq!(title("# ![logo](x)\n\npreface\n\n# The `Name`\n\ntext").as_deref(), Some("The Name"));
        assert_eq!(title("text\n\n## Part\n"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in any::<String>(), marks in "[#*`|>\\[\\]!()<\\-\n ]{0,200}") {
            // Property: no input panics, and no block is empty or has a line break.
            for block in blocks(&text).into_iter().chain(blocks(&marks)) {
                prop_assert!(block.text.contains(char::is_alphanumeric) && !block.text.contains('\n'));
            }
            let _ = (title(&text), title(&marks));
        }
    }
}
