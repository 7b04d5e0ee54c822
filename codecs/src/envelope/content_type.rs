//! What a body is, once unpacked: a media type, cheap for the usual ones.

use std::str::FromStr;

use crate::limits::CONTENT_TYPE_MAX;
use crate::text::{ParseError, Text, text_traits};

/// A media type without parameters, such as `text/plain`.
///
/// ```
/// use connectome_codecs::ContentType;
///
/// assert_eq!("text/plain".parse(), Ok(ContentType::Text));
/// assert_eq!("image/png".parse::<ContentType>()?.as_str(), "image/png");
/// assert!("png".parse::<ContentType>().is_err());
/// # Ok::<(), connectome_codecs::ParseError>(())
/// ```
#[derive(Clone, Default)]
pub enum ContentType {
    /// `application/msgpack`: what typed messages are.
    #[default]
    MessagePack,
    /// `text/plain`, always UTF-8.
    Text,
    /// `application/json`.
    Json,
    /// `application/octet-stream`.
    Octets,
    /// `application/vnd.connectome.cxr1`: sealed; what it is stands inside, as a [`SealedBody`](crate::seal::SealedBody).
    Sealed,
    /// Any other; made by parsing.
    Other(OtherContentType),
}

/// A media type that is none of the usual ones.
#[derive(Clone)]
pub struct OtherContentType(Text);

impl ContentType {
    /// The media type as text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::MessagePack => "application/msgpack",
            Self::Text => "text/plain",
            Self::Json => "application/json",
            Self::Octets => "application/octet-stream",
            Self::Sealed => "application/vnd.connectome.cxr1",
            Self::Other(OtherContentType(text)) => text.as_str(),
        }
    }
}

text_traits!(ContentType);

impl FromStr for ContentType {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "application/msgpack" => Ok(Self::MessagePack),
            "text/plain" => Ok(Self::Text),
            "application/json" => Ok(Self::Json),
            "application/octet-stream" => Ok(Self::Octets),
            "application/vnd.connectome.cxr1" => Ok(Self::Sealed),
            _ => check(text).map(|()| Self::Other(OtherContentType(Text::Shared(text.into())))),
        }
    }
}

/// RFC 6838, section 4.2: a name is letters, digits and `!#$&-^_.+`, on each side of one slash. Lower case is asked
/// for, so that equal types are equal texts.
fn check(text: &str) -> Result<(), ParseError> {
    let error = |problem: String| {
        ParseError::new(
            "content type",
            text,
            problem,
            "write a media type in lower case without parameters, such as text/plain",
        )
    };
    if text.len() > CONTENT_TYPE_MAX {
        return Err(error(format!("it has {} bytes, at most {CONTENT_TYPE_MAX} are allowed", text.len())));
    }
    let Some((kind, subtype)) = text.split_once('/') else {
        return Err(error("it has no '/'".into()));
    };
    if kind.is_empty() || subtype.is_empty() {
        return Err(error("one side of the '/' is empty".into()));
    }
    match text.char_indices().find(|&(at, c)| at != kind.len() && !is_name(c)) {
        Some((at, wrong)) => Err(error(format!("{wrong:?}")).at(at)),
        None => Ok(()),
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || "!#$&-^_.+".contains(c)
}
