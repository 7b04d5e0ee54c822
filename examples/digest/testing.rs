//! Small documents for the tests of this example.

use crate::analysis::DocumentDigest;
use crate::corpus::Document;
use crate::language::{Kind, Language};

/// A document of Markdown.
pub fn markdown(text: &str) -> Document {
    document(0, Kind::Markdown, text)
}

/// A document of Rust.
pub fn source(text: &str) -> Document {
    document(0, Kind::Source(Language::Rust), text)
}

/// A corpus of Markdown documents.
pub fn corpus(texts: &[&str]) -> Vec<Document> {
    texts.iter().enumerate().map(|(index, text)| document(index, Kind::Markdown, text)).collect()
}

fn document(index: usize, kind: Kind, text: &str) -> Document {
    Document {
        index,
        path: format!("{index}.md"),
        kind,
        title: format!("Document {index}"),
        text: text.to_owned(),
    }
}

/// A digest with these keywords, of falling weight, and neighbours.
pub fn digest(index: usize, keywords: &[&str], neighbours: &[(usize, f32)]) -> DocumentDigest {
    let weights = (1..=keywords.len()).rev().map(|rank| rank as f32);
    DocumentDigest {
        index,
        path: format!("folder/{index}.md"),
        kind: Kind::Markdown,
        title: format!("Document {index}"),
        words: 1_000,
        keywords: keywords.iter().map(|it| (*it).to_owned()).zip(weights).collect(),
        summary: vec!["It says this.".into()],
        neighbours: neighbours.to_vec(),
    }
}
