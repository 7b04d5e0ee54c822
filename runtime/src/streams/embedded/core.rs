//! The whole store as a pure machine: what is asked of it goes in with the time, answers and [`Effects`] come out.
//!
//! It does not wait, read a clock, or touch a disk; the same calls give the same answers. Around it stand the shell
//! (`store.rs`), which locks and wakes, and the disk (`disk.rs`), which writes what [`Effects`] ask for.
//!
//! | file | what |
//! |---|---|
//! | `stream` | one stream: publish, bounds, consumers, live readers |
//! | `consumer` | where one consumer stands |
//! | `bucket` | one bucket: revisions, expiry, watches |
//! | `messages`, `duplicates`, `follower` | the parts of a stream |
//! | `recent` | which bodies are held in memory |
//! | `record`, `effects` | what comes out to be written, and who is to be woken |

mod bucket;
mod consumer;
mod duplicates;
pub(crate) mod effects;
mod follower;
mod messages;
#[cfg(test)]
mod model;
pub(crate) mod reading;
mod recent;
pub(crate) mod record;
mod restore;
mod stream;

use std::collections::BTreeMap;

use connectome_actors::port::{BucketConfig, Storage, StreamConfig, StreamError};
use connectome_codecs::UnixMillis;

pub(crate) use bucket::{BucketState, Change, Found, Lookup};
pub(crate) use stream::{Handed, Stream, Taken};

use self::effects::{Bell, Effects};
use self::recent::Recent;
use self::record::Place;
use crate::streams::subject::Filter;
use crate::streams::{checks, names};

/// Streams and buckets of one store: each is a name someone chose, not one for each agent.
const PLACES_MAX: usize = 4_096;

/// The time, as the core is told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// The wall clock, for what is written down: ages and expiries.
    pub(crate) wall: UnixMillis,
    /// Milliseconds since the store was opened by a clock that never jumps, for how long a worker may take.
    pub(crate) tick: u64,
}

impl Now {
    pub(crate) fn tick_after(self, duration: std::time::Duration) -> u64 {
        UnixMillis(self.tick).after(duration).0
    }
}

/// All streams and buckets.
#[derive(Debug)]
pub(crate) struct Core {
    has_disk: bool,
    streams: BTreeMap<Place, Stream>,
    stream_places: BTreeMap<String, Place>,
    buckets: BTreeMap<Place, BucketState>,
    bucket_places: BTreeMap<String, Place>,
    next_place: u32,
    next_bell: u64,
    recent: Recent,
}

impl Core {
    /// An empty store; without a disk everything is in memory, whatever its configuration says.
    pub(crate) fn new(has_disk: bool) -> Self {
        Self {
            has_disk,
            streams: BTreeMap::new(),
            stream_places: BTreeMap::new(),
            buckets: BTreeMap::new(),
            bucket_places: BTreeMap::new(),
            next_place: 0,
            next_bell: 0,
            recent: Recent::default(),
        }
    }

    /// Makes a stream, or brings an existing one to this configuration.
    pub(crate) fn create_stream(
        &mut self,
        config: StreamConfig,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(), StreamError> {
        let filters = checks::check_stream(&config)?;
        self.check_alone(&config.name, &filters)?;
        match self.stream(&config.name) {
            Ok((_, stream)) if *stream.config() == config => Ok(()),
            Ok((_, stream)) => {
                checks::check_same("retention", &config.name, stream.config().retention, config.retention)?;
                checks::check_same("storage", &config.name, stream.config().storage, config.storage)?;
                stream.reconfigure(config, now, effects)
            }
            Err(_) => self.make_stream(config, effects),
        }
    }

    /// Opens a bucket, making it if it is new.
    pub(crate) fn open_bucket(
        &mut self,
        config: BucketConfig,
        effects: &mut Effects,
    ) -> Result<Place, StreamError> {
        names::BUCKET.check(&config.name)?;
        checks::check_ttl(config.ttl)?;
        let Some(&place) = self.bucket_places.get(&config.name) else {
            return self.make_bucket(config, effects);
        };
        let bucket = self.bucket_at(place);
        checks::check_same("storage", &config.name, bucket.config().storage, config.storage)?;
        if *bucket.config() != config {
            bucket.reconfigure(config, effects);
        }
        Ok(place)
    }

    /// The stream of a name.
    pub(crate) fn stream(&mut self, name: &str) -> Result<(Place, &mut Stream), StreamError> {
        let not_found = || StreamError::NotFound { what: "stream", name: name.to_owned() };
        let place = self.stream_places.get(name).copied().ok_or_else(not_found)?;
        Ok((place, self.stream_at(place)))
    }

    /// The stream at a place that was given out; streams stay.
    pub(crate) fn stream_at(&mut self, place: Place) -> &mut Stream {
        self.streams
            .get_mut(&place)
            .expect("a stream's place is given out once it is there, and streams stay")
    }

    /// The bucket at a place that was given out; buckets stay.
    pub(crate) fn bucket_at(&mut self, place: Place) -> &mut BucketState {
        self.buckets
            .get_mut(&place)
            .expect("a bucket's place is given out once it is there, and buckets stay")
    }

    /// The names of all streams, sorted.
    pub(crate) fn stream_names(&self) -> Vec<String> {
        self.stream_places.keys().cloned().collect()
    }

    /// A bell of one's own.
    pub(crate) fn new_bell(&mut self) -> Bell {
        self.next_bell += 1;
        Bell(self.next_bell)
    }

    /// The disk has everything in `place` up to `number`.
    pub(crate) fn show(&mut self, place: Place, number: u64, effects: &mut Effects) {
        if let Some(stream) = self.streams.get_mut(&place) {
            stream.show(number, effects);
        } else if let Some(bucket) = self.buckets.get_mut(&place) {
            bucket.show(number, effects);
        }
    }

    /// Counts the bodies an operation brought, and lets the oldest go to the disk.
    pub(crate) fn hold(&mut self, effects: &Effects) {
        for &body in &effects.appended {
            self.recent.hold(body);
        }
        while let Some(body) = self.recent.let_go() {
            if let Some(stream) = self.streams.get_mut(&body.place) {
                stream.let_go(body.number);
            } else if let Some(bucket) = self.buckets.get_mut(&body.place) {
                bucket.let_go(body.number);
            }
        }
    }

    fn make_stream(&mut self, config: StreamConfig, effects: &mut Effects) -> Result<(), StreamError> {
        let place = self.new_place()?;
        let name = config.name.clone();
        let stream = Stream::new(place, self.is_on_disk(config.storage), config)?;
        stream.write_config(effects);
        self.streams.insert(place, stream);
        self.stream_places.insert(name, place);
        Ok(())
    }

    fn make_bucket(&mut self, config: BucketConfig, effects: &mut Effects) -> Result<Place, StreamError> {
        let place = self.new_place()?;
        let name = config.name.clone();
        let bucket = BucketState::new(place, self.is_on_disk(config.storage), config);
        bucket.write_config(effects);
        self.buckets.insert(place, bucket);
        self.bucket_places.insert(name, place);
        Ok(place)
    }

    fn new_place(&mut self) -> Result<Place, StreamError> {
        if self.streams.len() + self.buckets.len() >= PLACES_MAX {
            let problem =
                format!("the store has {PLACES_MAX} streams and buckets: share one, by subject or by key");
            return Err(StreamError::Invalid(problem));
        }
        self.next_place += 1;
        Ok(Place(self.next_place))
    }

    fn is_on_disk(&self, storage: Storage) -> bool {
        match storage {
            Storage::File => self.has_disk,
            Storage::Memory => false,
        }
    }

    /// A subject belongs to one stream, so that a message has one home.
    fn check_alone(&self, name: &str, filters: &[Filter]) -> Result<(), StreamError> {
        for other in self.streams.values().filter(|other| other.config().name != name) {
            let shared = |filter: &&Filter| other.filters().iter().any(|theirs| theirs.overlaps(filter));
            if let Some(filter) = filters.iter().find(shared) {
                return Err(StreamError::Invalid(format!(
                    "stream {name}: its subject {:?} overlaps those of stream {}; a subject belongs to one stream",
                    filter.as_str(),
                    other.config().name
                )));
            }
        }
        Ok(())
    }
}
