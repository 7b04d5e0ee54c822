//! What the bench is told on its command line.

/// Turns that each way of a group gets: odd, so that the median is one of them; enough that one bad turn in three
/// does not move it.
const ROUNDS: usize = 7;

const USAGE: &str = "\
usage: cargo bench -p connectome-benches -- [--json] [--rounds N] [--way WAY] [GROUP...]

  --json      one JSON document instead of tables
  --rounds N  turns that each way of a group gets, 1 or more (7)
  --way WAY   only ways of this name: for a profiler
  GROUP       only groups whose name begins with one of these: cast, call, spawn, crash, envelope, send, tasks, nats,
              sealed, libp2p, ends";

/// What the bench is told on its command line.
pub(crate) struct Options {
    pub(crate) json: bool,
    pub(crate) rounds: usize,
    /// What this process measures for the process that started it, if it is one that was started for that.
    pub(crate) child: Option<String>,
    way: Option<String>,
    groups: Vec<String>,
}

impl Options {
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options { json: false, rounds: ROUNDS, child: None, way: None, groups: Vec::new() };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                // Cargo says this to every bench.
                "--bench" => {}
                "--json" => options.json = true,
                "--rounds" => options.rounds = rounds(args.next())?,
                "--way" => options.way = args.next(),
                "--child" => options.child = args.next(),
                word if word.starts_with('-') => return Err(USAGE.to_owned()),
                word => options.groups.push(word.to_owned()),
            }
        }
        Ok(options)
    }

    pub(crate) fn wants_way(&self, way: &str) -> bool {
        self.way.as_ref().is_none_or(|wanted| wanted == way)
    }

    pub(crate) fn wants(&self, group: &str) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|word| group.starts_with(word.as_str()))
    }
}

fn rounds(text: Option<String>) -> Result<usize, String> {
    let number = text.and_then(|text| text.parse().ok()).filter(|number| *number > 0);
    number.ok_or_else(|| USAGE.to_owned())
}
