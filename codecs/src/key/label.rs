//! The registry of purposes: each signature, hash and derived key begins with the label of what it is for.
//!
//! A label begins with the byte `0xff`, which no UTF-8 text and no MessagePack array or map begins with, and no label is
//! the beginning of another one. So nothing that was signed elsewhere, such as a nonce that a NATS server chose, can be
//! shown as one of ours, and nothing of ours in the place of something else of ours.

macro_rules! labels {
    ($($(#[$meta:meta])* $name:ident = $bytes:literal;)*) => {
        /// What a signature, a hash or a derived key is for.
        ///
        /// ```
        /// use connectome_codecs::key::Label;
        ///
        /// assert_eq!(Label::Root.bytes(), b"\xffconnectome/cxr1/root");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Label {
            $($(#[$meta])* $name,)*
        }

        impl Label {
            /// All there are.
            pub const ALL: &[Label] = &[$(Label::$name),*];

            /// What stands before whatever is signed, hashed or derived: `0xff`, `connectome/cxr1/` and the name.
            pub const fn bytes(self) -> &'static [u8] {
                match self {
                    $(Label::$name => $bytes,)*
                }
            }
        }
    };
}

labels! {
    /// An agent's signature below the certificate of an instance.
    Certificate = b"\xffconnectome/cxr1/cert";
    /// A proof that the key in a certificate is held by whoever it is certified for.
    Possession = b"\xffconnectome/cxr1/pop";
    /// A signature below the log of an agent's keys.
    Log = b"\xffconnectome/cxr1/log";
    /// An older key of an agent names the next one.
    Rotate = b"\xffconnectome/cxr1/rotate";
    /// An instance's signature below its bundle.
    Bundle = b"\xffconnectome/cxr1/bundle";
    /// An instance's signature below a one-time prekey.
    OneTime = b"\xffconnectome/cxr1/one-time";
    /// An agent's signature below the prekey of its pool.
    Pool = b"\xffconnectome/cxr1/pool";
    /// An organisation's signature below what it says of an agent.
    Vouch = b"\xffconnectome/cxr1/vouch";
    /// An initiator's signature below its first message.
    Init = b"\xffconnectome/cxr1/init";
    /// The hash of all that two agents have said before they have a key.
    Transcript = b"\xffconnectome/cxr1/transcript";
    /// The first keys of a session.
    Root = b"\xffconnectome/cxr1/root";
    /// A step of the root key.
    Ratchet = b"\xffconnectome/cxr1/ratchet";
    /// A step of a chain.
    Chain = b"\xffconnectome/cxr1/chain";
    /// What a message's seal is bound to.
    Associated = b"\xffconnectome/cxr1/aad";
    /// The hash of the envelope's header around a message.
    Context = b"\xffconnectome/cxr1/context";
    /// The hash of what a signature of a message is about.
    Statement = b"\xffconnectome/cxr1/statement";
    /// A signature below one message.
    Message = b"\xffconnectome/cxr1/msg-sig";
    /// Two nodes of a batch's tree become one.
    BatchNode = b"\xffconnectome/cxr1/batch-node";
    /// A signature below the root of a batch.
    Batch = b"\xffconnectome/cxr1/batch-sig";
    /// A signature below a step of the root key, where messages have none.
    Step = b"\xffconnectome/cxr1/step-sig";
    /// A request to begin anew.
    Reset = b"\xffconnectome/cxr1/reset";
    /// A request to send again.
    Resend = b"\xffconnectome/cxr1/resend";
    /// A request that is sealed to a bundle.
    RequestSeal = b"\xffconnectome/cxr1/request-seal";
    /// A message that is sealed to a pool.
    PoolSeal = b"\xffconnectome/cxr1/rpk-seal";
    /// A signature below a message to a pool.
    PoolMessage = b"\xffconnectome/cxr1/rpk-sig";
    /// A record at rest.
    Store = b"\xffconnectome/cxr1/store";
    /// The members of a group.
    Roster = b"\xffconnectome/cxr1/members";
    /// A sender key on its way to a member.
    SenderKey = b"\xffconnectome/cxr1/skd";
    /// A step of a sender's chain in a group.
    GroupChain = b"\xffconnectome/cxr1/group-chain";
    /// What a group message's seal is bound to.
    GroupAssociated = b"\xffconnectome/cxr1/group-aad";
    /// A signature below a group message.
    GroupMessage = b"\xffconnectome/cxr1/group-sig";
    /// Binds a group message to its one key.
    Commit = b"\xffconnectome/cxr1/commit";
    /// A node's signature below what it announces to a wide network.
    Announcement = b"\xffconnectome/cxr1/announcement";
}

#[cfg(test)]
mod tests {
    use super::Label;

    /// What one label begins, no other label continues; and each stands in the one place that is ours.
    #[test]
    fn labels_are_prefix_free() {
        for (at, one) in Label::ALL.iter().enumerate() {
            assert!(one.bytes().starts_with(b"\xffconnectome/cxr1/"), "{one:?}");
            for other in &Label::ALL[at + 1..] {
                let (one, other) = (one.bytes(), other.bytes());
                assert!(!one.starts_with(other) && !other.starts_with(one), "{one:?} and {other:?}");
            }
        }
    }
}
