//! The main job without the cluster: reads the documents below PATH and writes `digest.md` and `digest.html`.
#![expect(
    unreachable_pub,
    reason = "a binary exports nothing; its modules speak to each other"
)]

mod analysis;
mod blocks;
mod comments;
mod corpus;
mod fingerprint;
mod idf;
mod keywords;
mod language;
mod markdown;
mod neighbours;
mod numbers;
mod rank;
mod sentences;
mod stop_words;
mod summary;
mod terms;
#[cfg(test)]
mod testing;
mod words;
mod worth;

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    match run(path.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("digest: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let corpus = corpus::read(path)?;
    let read = start.elapsed();
    let digests = analysis::digest_all(&corpus.documents);
    eprintln!(
        "{} read {read:?}, all {:?} {}",
        corpus.documents.len(),
        start.elapsed(),
        corpus.fingerprint()
    );
    for skipped in corpus.skipped.iter().take(5) {
        eprintln!("skipped {} {}", skipped.path.display(), skipped.reason);
    }
    for digest in digests {
        println!(
            "## {} ({}, {} words)\n   {:?}",
            digest.title,
            digest.path,
            digest.words,
            digest.keywords.iter().map(|it| &it.0).collect::<Vec<_>>()
        );
        digest.summary.iter().for_each(|it| println!("   - {it}"));
        println!("   ~ {:?}", digest.neighbours);
    }
    Ok(())
}
