//! What `cxr/1` promises, tested through its public door.
//!
//! | file | promise |
//! |---|---|
//! | `cast` | who takes part: agents, instances, a generator that a seed fixes |
//! | `identities` | who is who: certificates, logs, bundles, prekeys, pins |
//! | `handshakes` | a session begins as both mean it, or not at all |
//! | `conversations` | messages in any order, once each; what is refused and why; what is at rest |
//! | `secrecy` | a stolen state opens nothing earlier, and soon nothing later; secrets do not print |
//! | `bounds` | every table has its bound |
//! | `proofs` | signatures, batches, evidence |
//! | `requests` | reset and resend, limited and taken once; replay windows |
//! | `pools` | any instance of a name, and only they, and once |
//! | `groups` | members and nobody else, from when they came until they go |
//! | `machine` | everything above at once, whatever happens in between |
//! | `parsers` | any bytes panic nobody |
//! | `frozen` | the bytes are pinned, and a second implementation opens them |

mod bounds;
mod cast;
mod conversations;
mod frozen;
mod groups;
mod handshakes;
mod identities;
mod machine;
mod parsers;
mod pools;
mod proofs;
mod requests;
mod secrecy;
mod vouchers;
