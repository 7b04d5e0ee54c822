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
mod report;
mod sentences;
mod stop_words;
mod summary;
mod terms;
#[cfg(test)]
mod testing;
mod themes;
mod titles;
mod words;
mod worth;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use analysis::Knowledge;
use idf::Gathering;
use report::Report;

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

fn run(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let corpus = lap("read", || corpus::read(path))?;
    let counts = lap("count", || {
        corpus.documents.iter().map(terms::count).collect::<Vec<_>>()
    });
    let knowledge = lap("merge", || {
        let mut gathering = Gathering::default();
        counts
            .into_iter()
            .enumerate()
            .for_each(|(index, counts)| assert!(gathering.add(index, counts)));
        Knowledge::from(gathering)
    });
    let digests: Vec<_> = lap("digest", || {
        corpus
            .documents
            .iter()
            .map(|it| analysis::digest(it, &knowledge))
            .collect()
    });
    let name = path
        .canonicalize()?
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned();
    let skipped = corpus
        .skipped
        .iter()
        .map(|it| format!("{} {}", it.path.display(), it.reason));
    let report = lap("report", || {
        Report::new(name, &digests)
            .linked_to(corpus.root.to_string_lossy())
            .skipped(skipped)
            .fact("Documents", digests.len())
            .fact("Fingerprint", corpus.fingerprint())
    });
    lap("write", || {
        std::fs::write("digest.md", report.markdown())
            .and_then(|()| std::fs::write("digest.html", report.html()))
    })?;
    Ok(analysis::same(
        &digests,
        &lap("baseline", || analysis::digest_all(&corpus.documents)),
    )?)
}

fn lap<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    eprintln!("{name:9} {:?}", start.elapsed());
    done
}
