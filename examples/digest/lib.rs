//! What the main job is made of: the agents, the cluster they live in, and what they know about texts. `main.rs` is the
//! command that puts them to work; here it can be tested without one.
#![expect(unreachable_pub, reason = "an example exports nothing to others; its modules speak to each other")]
#![expect(missing_docs, reason = "the modules say what they are; only `main.rs` uses them")]

mod analysis;
mod blocks;
mod chaos;
mod comments;
mod company;
mod corpus;
mod crew;
mod editor;
mod fingerprint;
mod idf;
mod job;
mod keywords;
mod language;
mod markdown;
mod messages;
mod neighbours;
mod numbers;
mod progress;
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
mod worker;
mod worth;

pub use analysis::{digest_all, same};
pub use chaos::hide_panics_on_purpose;
pub use company::processes::join;
pub use corpus::{Corpus, read};
pub use crew::{Crew, Failure, Servers, Way};
pub use job::{Job, Outcome};
pub use progress::{Progress, table};
pub use report::Report;
