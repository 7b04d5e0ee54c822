//! Streams: made, brought to a configuration, counted, and messages of theirs removed.

use connectome_actors::port::{ConsumerInfo, StreamConfig, StreamError, StreamInfo};
use connectome_codecs::Sequence;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Store;
use super::api::{
    DELETE_FAILED, MESSAGE_NOT_FOUND, NAME_IN_USE, Refusal, SEQUENCE_NOT_FOUND, STREAM_NOT_FOUND,
};
use super::attempts::Repeat;
use super::config::{self, Kept};
use super::consumer;
use crate::streams::subject::check_subject;
use crate::streams::{checks, names};

/// What the server tells of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    /// As it came, to lay changes over.
    pub(super) config: Value,
    pub(super) state: State,
}

#[derive(Debug, Deserialize)]
pub(super) struct State {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    first_seq: u64,
    pub(super) last_seq: u64,
    #[serde(default)]
    subjects: Map<String, Value>,
}

/// One page of a list.
#[derive(Debug, Deserialize)]
struct Page<T> {
    #[serde(default)]
    total: usize,
    #[serde(alias = "streams", alias = "consumers")]
    items: Option<Vec<T>>,
}

impl State {
    /// The oldest sequence that is kept; one past the last when nothing is.
    pub(super) fn first(&self) -> u64 {
        if self.messages == 0 { self.last_seq + 1 } else { self.first_seq }
    }
}

impl Info {
    pub(super) fn kept(&self) -> Result<Kept, StreamError> {
        let unreadable =
            |error| StreamError::Unavailable(format!("the NATS server's answer can't be read: {error}"));
        Kept::deserialize(&self.config).map_err(unreadable)
    }
}

impl Store {
    pub(super) async fn create_stream(&self, config: StreamConfig) -> Result<(), StreamError> {
        checks::check_stream(&config)?;
        let wanted = config::stream(&self.names, &config, &self.options);
        let check = |kept: &Kept| {
            checks::check_same("retention", &config.name, kept.retention(), config.retention)?;
            checks::check_same("storage", &config.name, kept.storage(), config.storage)
        };
        self.keep(&config.name, &wanted, check).await
    }

    /// Makes what the server calls a stream, or brings it to this configuration when `check` lets what there is pass.
    pub(super) async fn keep(
        &self,
        name: &str,
        wanted: &Value,
        check: impl Fn(&Kept) -> Result<(), StreamError>,
    ) -> Result<(), StreamError> {
        let there = wanted["name"].as_str().unwrap_or_default();
        let Some(info) = self.look_up(there).await? else {
            if !self.make_again_slowly(there).await? {
                self.make(name, there, wanted, &check).await?;
            }
            return Ok(self.note(there, name, wanted));
        };
        let kept = info.kept()?;
        if !kept.belongs_to(&self.names) {
            checks::check_same("namespace", name, kept.namespace(), self.names.namespace())?;
        }
        check(&kept)?;
        if let Some(changed) = config::overlay(&info.config, wanted, config::FIXED) {
            let updated =
                self.api::<Value>(Repeat::Same, &format!("STREAM.UPDATE.{there}"), &changed).await?;
            updated.map_err(|refusal| refusal.of_stream(name))?;
        }
        Ok(self.note(there, name, wanted))
    }

    /// It is there now: should the server lose it, this is what is made again.
    fn note(&self, there: &str, name: &str, wanted: &Value) {
        if self.options.remake {
            self.made.note(there, name, wanted);
        }
    }

    pub(super) async fn make(
        &self,
        name: &str,
        there: &str,
        wanted: &Value,
        check: &impl Fn(&Kept) -> Result<(), StreamError>,
    ) -> Result<(), StreamError> {
        let wanted = self.beginning(wanted);
        let made = self.api::<Value>(Repeat::Same, &format!("STREAM.CREATE.{there}"), &wanted).await?;
        let Err(refusal) = made else { return Ok(()) };
        // Somebody else may have made it meanwhile: what there is now decides.
        match self.look_up(there).await? {
            Some(info) => check(&info.kept()?),
            // A cluster that elects knows of it, and can't show it yet.
            None if refusal.code == NAME_IN_USE => Err(StreamError::Unavailable(refusal.description)),
            None => Err(refusal.of_stream(name)),
        }
    }

    /// What the server calls a stream, if there is one.
    pub(super) async fn look_up(&self, there: &str) -> Result<Option<Info>, StreamError> {
        match self.api(Repeat::Reads, &format!("STREAM.INFO.{there}"), &Value::Null).await? {
            Ok(info) => Ok(Some(info)),
            Err(Refusal { code: STREAM_NOT_FOUND, .. }) => Ok(None),
            Err(refusal) => Err(refusal.of_stream(there)),
        }
    }

    /// Our stream `name`; one that the server has lost is made again.
    pub(super) async fn find(&self, name: &str) -> Result<Info, StreamError> {
        let not_found = || StreamError::NotFound { what: "stream", name: name.to_owned() };
        if names::STREAM.check(name).is_err() {
            return Err(not_found());
        }
        let there = self.names.stream(name);
        if let Some(info) = self.look_up(&there).await? {
            return Ok(info);
        }
        if !self.make_again_slowly(&there).await? {
            return Err(not_found());
        }
        self.look_up(&there).await?.ok_or_else(not_found)
    }

    pub(super) async fn delete(&self, stream: &str, sequence: u64) -> Result<(), StreamError> {
        let call = format!("STREAM.MSG.DELETE.{}", self.names.stream(stream));
        let body = json!({ "seq": sequence, "no_erase": true });
        let deleted = self.api::<Value>(Repeat::Same, &call, &body).await?;
        self.removed(stream, sequence);
        match deleted {
            Ok(_) => Ok(()),
            Err(Refusal { code: SEQUENCE_NOT_FOUND | MESSAGE_NOT_FOUND | DELETE_FAILED, .. }) => Ok(()),
            Err(refusal) => Err(refusal.of_stream(stream)),
        }
    }

    pub(super) async fn stream_info(&self, stream: &str) -> Result<StreamInfo, StreamError> {
        self.settle(stream).await?;
        let info = self.find(stream).await?;
        let State { messages, bytes, last_seq, .. } = info.state;
        let consumers = self.consumers(stream).await?;
        let (config, first) = (info.kept()?.stream(&self.names, stream), Sequence(info.state.first()));
        Ok(StreamInfo { config, messages, bytes, first, last: Sequence(last_seq), consumers })
    }

    async fn consumers(&self, stream: &str) -> Result<Vec<ConsumerInfo>, StreamError> {
        let call = format!("CONSUMER.LIST.{}", self.names.stream(stream));
        let mut consumers = Vec::new();
        for info in self.pages::<consumer::Info>(stream, &call).await? {
            consumers.push(consumer::stands(self, stream, info).await?);
        }
        consumers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(consumers)
    }

    pub(super) async fn count(&self, stream: &str, subject: &str) -> Result<u64, StreamError> {
        check_subject(subject)?;
        self.settle(stream).await?;
        let call = format!("STREAM.INFO.{}", self.names.stream(stream));
        let subject = self.names.subject(subject);
        let body = json!({ "subjects_filter": subject });
        let info = match self.api::<Info>(Repeat::Reads, &call, &body).await? {
            // Made again, or not ours.
            Err(Refusal { code: STREAM_NOT_FOUND, .. }) => return self.find(stream).await.map(|_| 0),
            info => info.map_err(|refusal| refusal.of_stream(stream))?,
        };
        Ok(info.state.subjects.get(&subject).and_then(Value::as_u64).unwrap_or(0))
    }

    pub(super) async fn stream_names(&self) -> Result<Vec<String>, StreamError> {
        let streams = self.pages::<Info>("", "STREAM.LIST").await?;
        let ours = |info: &Info| info.kept().is_ok_and(|kept| kept.belongs_to(&self.names));
        let name = |info: &Info| {
            let name = info.config["name"].as_str()?.strip_prefix(&self.names.stream(""))?;
            names::STREAM.check(name).is_ok().then(|| name.to_owned())
        };
        let mut names: Vec<String> = streams.iter().filter(|info| ours(info)).filter_map(name).collect();
        names.sort();
        Ok(names)
    }

    /// All of a list that the server gives in pages.
    async fn pages<T: serde::de::DeserializeOwned>(
        &self,
        stream: &str,
        call: &str,
    ) -> Result<Vec<T>, StreamError> {
        let mut all = Vec::new();
        loop {
            let body = json!({ "offset": all.len() });
            let page = self.api::<Page<T>>(Repeat::Reads, call, &body).await?;
            let page = page.map_err(|refusal| refusal.of_stream(stream))?;
            let (items, total) = (page.items.unwrap_or_default(), page.total);
            let is_last = items.is_empty();
            all.extend(items);
            if is_last || all.len() >= total {
                return Ok(all);
            }
        }
    }
}
