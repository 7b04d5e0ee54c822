//! The main job: a cluster of three nodes reads the documents below a path and writes a digest of them, while one agent
//! panics now and then and one node is killed halfway. At the end it shows that nothing was lost and nothing done twice.
//!
//! Read `messages.rs` (what is said), `worker.rs` and `editor.rs` (who says it), `crew.rs` (where they live), `job.rs`
//! (what is done), and then, if you care for texts rather than clusters, `analysis.rs`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use connectome::TaskCounts;
use connectome::port::World;
use connectome::world::SystemWorld;
use digest::{
    Corpus, Crew, Failure, Job, Outcome, Progress, Report, Servers, Way, digest_all, hide_panics_on_purpose,
    read, same, table,
};

/// Digests every text, Markdown and source file below PATH: keywords, a summary and the nearest neighbours of each.
///
/// A cluster of three nodes does the work: in this process over a store on disk, or in three, over NATS or over libp2p with nobody
/// between them. While it works, one agent panics now and then and one node is killed without warning. A run that is
/// interrupted goes on where it was.
#[derive(Parser)]
#[command(name = "digest")]
struct Arguments {
    /// A directory or a file; the present directory when left out.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Where digest.md and digest.html are written, and the store while the job is not finished.
    #[arg(long, default_value = "target/digest", value_name = "DIRECTORY")]
    out: PathBuf,
    /// Work in three processes over these NATS servers, instead of in this one over a store of its own.
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// Work in three processes that reach each other directly, over the store of the first one.
    #[arg(long, conflicts_with = "nats")]
    libp2p: bool,
    /// Kill no node.
    #[arg(long)]
    spare: bool,
    /// Do not compare with a run without the cluster, which takes as long as one worker for everything.
    #[arg(long)]
    unchecked: bool,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
    /// Print the final table as JSON.
    #[arg(long)]
    json: bool,
    /// Be one of the other processes.
    #[arg(long, hide = true, requires = "namespace")]
    join: Option<String>,
    /// Where the process is that serves its store.
    #[arg(long, hide = true)]
    at: Option<String>,
    #[arg(long, hide = true)]
    namespace: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    hide_panics_on_purpose();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    if let Some(place) = &arguments.join {
        return match runtime.block_on(join(place, &arguments)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&*error),
        };
    }
    match runtime.block_on(run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failed(&*error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("digest: {error}");
    ExitCode::FAILURE
}

/// The life of one of the other processes.
async fn join(place: &str, arguments: &Arguments) -> Result<(), Failure> {
    let way = match (&arguments.nats, &arguments.at) {
        (Some(url), _) => Way::Nats(url.clone()),
        (None, Some(address)) => Way::At(address.clone()),
        (None, None) => return Err("--join needs --nats or --at".into()),
    };
    let namespace = arguments.namespace.clone().unwrap_or_default();
    digest::join(place, &Servers { way, namespace, out: arguments.out.clone() }).await
}

/// Says whether everything is as it should be.
async fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let began = Instant::now();
    let corpus = read(&arguments.path)?;
    let progress = Progress::new(arguments.quiet);
    let store = Store::prepare(&arguments.out, &corpus)?;
    if store.resumed {
        progress.note("going on with a job that was interrupted");
    }
    let way = match &arguments.nats {
        Some(url) => Some(Way::Nats(url.clone())),
        None => arguments.libp2p.then_some(Way::Serving),
    };
    let crew = match way {
        None => Crew::in_one_process(&store.path).await?,
        Some(way) => {
            let (namespace, out) = (store.namespace()?, arguments.out.clone());
            Crew::in_processes(&Servers { way, namespace, out }).await?
        }
    };
    let job = Job {
        crew: &crew,
        corpus: &corpus,
        progress: &progress,
        kill: !arguments.spare,
        killed: false.into(),
    };
    let outcome = job.run().await?;
    let took = began.elapsed();
    progress.phase("checking");
    let matches = arguments.unchecked || same_without_cluster(&outcome, &corpus, &progress);
    let run = Run { corpus: &corpus, outcome: &outcome, counts: crew.counts(), panics: crew.panics(), took };
    let written = write(arguments, &run)?;
    progress.end();
    crew.dismiss().await;
    store.remove()?;
    run.print(arguments, &written, matches);
    Ok(outcome.lost == 0 && outcome.twice == 0 && matches)
}

/// Where the job is kept until it is finished.
struct Store {
    path: PathBuf,
    /// Says which documents it is about.
    mark: PathBuf,
    resumed: bool,
}

impl Store {
    /// Takes up the store of an interrupted run over the same documents, or begins a new one.
    fn prepare(out: &Path, corpus: &Corpus) -> std::io::Result<Store> {
        let (path, mark) = (out.join("store"), out.join("store.of"));
        let fingerprint = corpus.fingerprint().to_bytes();
        let resumed = path.exists() && std::fs::read(&mark).is_ok_and(|known| known == fingerprint);
        if !resumed && path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir_all(&path)?;
        std::fs::write(&mark, fingerprint)?;
        Ok(Store { path, mark, resumed })
    }

    /// What the job is called on servers that others use too: made once, so that a run that goes on finds what there is.
    fn namespace(&self) -> std::io::Result<String> {
        let kept = self.path.join("namespace");
        if let Ok(name) = std::fs::read_to_string(&kept) {
            return Ok(name);
        }
        let name = format!("digest-{:016x}", SystemWorld::new()?.random() as u64);
        std::fs::write(&kept, &name)?;
        Ok(name)
    }

    fn remove(&self) -> std::io::Result<()> {
        std::fs::remove_file(&self.mark)?;
        std::fs::remove_dir_all(&self.path)
    }
}

fn same_without_cluster(outcome: &Outcome, corpus: &Corpus, progress: &Progress) -> bool {
    let alone = digest_all(&corpus.documents);
    match same(&outcome.digests, &alone) {
        Ok(()) => true,
        Err(difference) => {
            progress.note(&format!("not the same as without the cluster: {difference}"));
            false
        }
    }
}

/// Everything that can be told of a run.
struct Run<'a> {
    corpus: &'a Corpus,
    outcome: &'a Outcome,
    counts: TaskCounts,
    panics: u64,
    took: Duration,
}

impl Run<'_> {
    fn facts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("documents", self.corpus.documents.len().to_string()),
            ("files left out", self.corpus.skipped.len().to_string()),
            ("tasks", (2 * self.corpus.documents.len()).to_string()),
            ("agent panics survived", self.panics.to_string()),
            ("attempts that were repeated", self.counts.redelivered.to_string()),
            ("late results refused", self.counts.refused_stale.to_string()),
            ("time", format!("{:.1} s", self.took.as_secs_f64())),
            ("lost", self.outcome.lost.to_string()),
            ("applied twice", self.outcome.twice.to_string()),
        ]
    }

    fn print(&self, arguments: &Arguments, written: &[PathBuf; 2], matches: bool) {
        let checked = match (arguments.unchecked, matches) {
            (true, _) => "not checked",
            (false, true) => "yes, to the bit",
            (false, false) => "NO",
        };
        let mut rows = self.facts();
        rows.push(("nodes killed", usize::from(!arguments.spare).to_string()));
        rows.push(("same as without a cluster", checked.to_owned()));
        rows.extend(
            ["digest", "as a page"].into_iter().zip(written.iter().map(|path| path.display().to_string())),
        );
        if arguments.json {
            let rows: serde_json::Map<_, _> =
                rows.into_iter().map(|(name, value)| (name.to_owned(), json(value))).collect();
            println!("{}", serde_json::Value::Object(rows));
        } else {
            print!("{}", table(&rows));
        }
    }
}

/// A count as a number, anything else as the text it is.
fn json(value: String) -> serde_json::Value {
    value.parse::<u64>().map_or_else(|_| value.into(), Into::into)
}

fn write(arguments: &Arguments, run: &Run<'_>) -> Result<[PathBuf; 2], Failure> {
    let written = [arguments.out.join("digest.md"), arguments.out.join("digest.html")];
    let root = run.corpus.root.canonicalize()?;
    let name = root.file_name().unwrap_or(root.as_os_str()).to_string_lossy().into_owned();
    let skipped = run.corpus.skipped.iter().map(|it| format!("{} {}", it.path.display(), it.reason));
    let report =
        Report::new(name, &run.outcome.digests).linked_to(relative(&arguments.out, &root)?).skipped(skipped);
    let report = run.facts().into_iter().fold(report, |report, (what, value)| report.fact(what, value));
    std::fs::write(&written[0], report.markdown())?;
    std::fs::write(&written[1], report.html())?;
    Ok(written)
}

/// The way from one directory to another, so that the report's links work wherever both are moved together.
fn relative(from: &Path, to: &Path) -> std::io::Result<String> {
    let (from, to) = (from.canonicalize()?, to.canonicalize()?);
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| std::path::Component::ParentDir);
    let way: PathBuf = up.chain(to.components().skip(shared)).collect();
    Ok(way.to_string_lossy().into_owned())
}
