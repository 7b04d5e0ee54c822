//! One value of everything that has a wire form, with its name: the golden vectors are these, encoded.

pub(crate) mod envelopes;
pub(crate) mod events;
pub(crate) mod messages;
pub(crate) mod registrations;

use bytes::Bytes;
use connectome_codecs::message::{self, *};
use connectome_codecs::registration::Signed;
use connectome_codecs::*;

pub(crate) use envelopes::minimal;
pub(crate) use messages::{discovery, error, record, task};

/// A value with a wire form, and what can be done with such bytes.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) bytes: Bytes,
    pub(crate) codec: Codec,
    /// Whether bytes decode to this very value.
    pub(crate) is: Comparison,
    pub(crate) envelope: Option<Envelope>,
}

/// Whether bytes decode to one certain value.
pub(crate) type Comparison = Box<dyn Fn(&[u8]) -> bool>;

/// Decodes bytes and encodes the value again.
pub(crate) type Codec = fn(&[u8]) -> Result<Bytes, DecodeError>;

pub(crate) trait Wire: Sized + PartialEq + Clone + std::fmt::Debug + 'static {
    fn write(&self) -> Result<Bytes, EncodeError>;
    fn read(bytes: &[u8]) -> Result<Self, DecodeError>;
}

impl Wire for Envelope {
    fn write(&self) -> Result<Bytes, EncodeError> {
        self.encode()
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode(Bytes::copy_from_slice(bytes))
    }
}

macro_rules! wire {
    ($($name:ty),+) => {
        $(impl Wire for $name {
            fn write(&self) -> Result<Bytes, EncodeError> {
                self.encode()
            }

            fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
                Self::decode(bytes)
            }
        })+
    };
}

wire!(Text, Task, Response, Status, message::Error, Discovery, Heartbeat, Control, Event, TaskRecord);
wire!(Registration, Signed, registration::Refusal);

pub(crate) fn recode<T: Wire>(bytes: &[u8]) -> Result<Bytes, DecodeError> {
    T::read(bytes).map(|value| value.write().expect("what was decoded can be encoded"))
}

/// Every decoder of typed bytes, by name.
pub(crate) const CODECS: &[(&str, Codec)] = &[
    ("envelope", recode::<Envelope>),
    ("text", recode::<Text>),
    ("task", recode::<Task>),
    ("response", recode::<Response>),
    ("status", recode::<Status>),
    ("error", recode::<message::Error>),
    ("discovery", recode::<Discovery>),
    ("heartbeat", recode::<Heartbeat>),
    ("control", recode::<Control>),
    ("event", recode::<Event>),
    ("task-record", recode::<TaskRecord>),
];

pub(crate) const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
pub(crate) const NODE: NodeId = NodeId([7; 32]);

pub(crate) fn samples() -> Vec<Sample> {
    let all = [
        envelopes::envelopes(),
        envelopes::future_envelopes(),
        messages::messages(),
        messages::controls(),
        events::events(),
        messages::tasks(),
        registrations::registrations(),
    ];
    all.into_iter().flatten().collect()
}

fn sample<T: Wire>(name: &'static str, what: &'static str, value: T) -> Sample {
    let bytes = value.write().expect("a sample is valid");
    let is = move |bytes: &[u8]| T::read(bytes).is_ok_and(|read| read == value);
    Sample { name, what, bytes, codec: recode::<T>, is: Box::new(is), envelope: None }
}

fn envelope(name: &'static str, what: &'static str, envelope: Envelope) -> Sample {
    Sample { envelope: Some(envelope.clone()), ..sample(name, what, envelope) }
}

pub(crate) fn parsed<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("a sample is valid")
}
