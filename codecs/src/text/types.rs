//! The macros that make text types: texts with a rule, and enums that keep codes they do not know.

/// Makes a bounded text type with its checks, its text form and its serde form (always text).
macro_rules! bounded_text {
    ($(#[$meta:meta])* $name:ident, $what:literal, $max:expr, $alphabet:ident, $right:literal) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $name($crate::text::Text);

        impl $name {
            const RULE: $crate::text::Rule = $crate::text::Rule {
                what: $what,
                max: $max,
                alphabet: $crate::text::Alphabet::$alphabet,
                right: $right,
            };

            #[doc = concat!("Reads ", $what, " from a text; the error says which character is wrong.")]
            pub fn new(text: &str) -> Result<Self, $crate::ParseError> {
                Self::RULE.check(text)?;
                Ok(Self($crate::text::Text::Shared(text.into())))
            }

            /// Takes a constant without allocating. Write it into a `const`, so that the compiler checks it.
            ///
            /// # Panics
            /// When the text breaks the rules of this type: at compile time, in a `const`.
            pub const fn from_static(text: &'static str) -> Self {
                assert!(Self::RULE.holds(text), concat!("not a valid ", $what));
                Self($crate::text::Text::Static(text))
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        $crate::text::text_traits!($name);

        impl std::str::FromStr for $name {
            type Err = $crate::ParseError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $crate::ParseError;
            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }
    };
}

/// Comparison, hashing, printing and serde by the text alone.
macro_rules! text_traits {
    ($name:ident) => {
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }

        impl Eq for $name {}

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.as_str().cmp(other.as_str())
            }
        }

        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.as_str().hash(state)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::text::deserialize(deserializer)
            }
        }
    };
}

/// Makes an enum whose wire form is a short text, and which keeps the texts it does not know in `Unknown`.
macro_rules! open_enum {
    ($(#[$meta:meta])* $name:ident, $what:literal, { $($(#[$doc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
            /// A code that this version does not know, kept as it came.
            Unknown(String),
        }

        impl $name {
            /// All that this version knows, in their usual order.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant,)+];

            /// The text on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $code,)+
                    Self::Unknown(code) => code,
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ParseError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($code => Ok(Self::$variant),)+
                    _ => $crate::text::check_code($what, text).map(|()| Self::Unknown(text.to_owned())),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::text::deserialize(deserializer)
            }
        }
    };
}

pub(crate) use {bounded_text, open_enum, text_traits};
