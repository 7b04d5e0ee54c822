//! The store's state after a restart: records go in, in the order of their keys.

use super::bucket::BucketState;
use super::record::{Place, Record};
use super::stream::Stream;
use super::{Core, Now};

impl Core {
    /// Takes one record. Configurations come before what belongs to them.
    ///
    /// # Errors
    /// What does not fit, in words: the store is damaged.
    pub(crate) fn restore(&mut self, record: Record, now: Now) -> Result<(), String> {
        match record {
            Record::Stream(place, config) => {
                self.claim(place);
                self.stream_places.insert(config.name.clone(), place);
                let stream = Stream::new(place, true, config).map_err(|error| error.to_string())?;
                self.streams.insert(place, stream);
            }
            Record::Bucket(place, config) => {
                self.claim(place);
                self.bucket_places.insert(config.name.clone(), place);
                self.buckets.insert(place, BucketState::new(place, true, config));
            }
            Record::Last(place, last) => self.restore_last(place, last)?,
            Record::Message(place, sequence, head) => {
                self.known_stream(place)?.restore_message(sequence, head, now);
            }
            Record::Remembered(place, id, sequence, at) => {
                self.known_stream(place)?.restore_id(id, sequence, at);
            }
            Record::Consumer(place, number, config) => {
                let bell = self.new_bell();
                self.known_stream(place)?.restore_consumer(number, config, bell)?;
            }
            Record::Cursor(place, number, next) => self.known_stream(place)?.restore_cursor(number, next),
            Record::Pending(place, number, sequence, pending) => {
                self.known_stream(place)?.restore_pending(number, sequence, pending, now);
            }
            Record::Entry(place, key, head) => self.known_bucket(place)?.restore_entry(key, head),
        }
        Ok(())
    }

    /// After the last record.
    pub(crate) fn restored(&mut self) {
        self.streams.values_mut().for_each(Stream::restored);
    }

    fn claim(&mut self, place: Place) {
        self.next_place = self.next_place.max(place.0);
    }

    fn restore_last(&mut self, place: Place, last: u64) -> Result<(), String> {
        if let Some(stream) = self.streams.get_mut(&place) {
            stream.restore_last(last);
            return Ok(());
        }
        self.known_bucket(place).map(|bucket| bucket.restore_last(last))
    }

    fn known_stream(&mut self, place: Place) -> Result<&mut Stream, String> {
        self.streams
            .get_mut(&place)
            .ok_or_else(|| format!("a record names stream {}, which is not there", place.0))
    }

    fn known_bucket(&mut self, place: Place) -> Result<&mut BucketState, String> {
        self.buckets
            .get_mut(&place)
            .ok_or_else(|| format!("a record names bucket {}, which is not there", place.0))
    }
}
