//! What is written is understood, or refused with all that is wrong with it.

use std::collections::BTreeSet;
use std::fs;

use super::*;

mod properties;

const NOTHING: [(&str, &str); 0] = [];

fn from_text(text: &str) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("connectome.toml");
    fs::write(&path, text).unwrap();
    Config::load(Some(&path), NOTHING, [])
}

fn from_env(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(None, env.iter().copied(), [])
}

fn from_flags(flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(None, NOTHING, flags.iter().copied())
}

fn error(result: Result<Config, ConfigError>) -> String {
    result.unwrap_err().to_string()
}

fn values(config: &Config) -> Vec<(&'static str, String)> {
    config.describe().rows.into_iter().map(|row| (row.key, row.value)).collect()
}

fn origin(config: &Config, key: &str) -> String {
    config.describe().rows.iter().find(|row| row.key == key).unwrap().origin.to_string()
}

#[test]
fn nothing_said_means_the_defaults_and_they_are_right() {
    let config = from_env(&[]).unwrap();
    assert_eq!(values(&config), values(&Config::default()));
    assert_eq!(config.check(), Ok(()));
    assert!(config.describe().rows.iter().all(|row| row.origin == Origin::Default));
}

#[test]
fn the_defaults_are_pinned() {
    let shown: Vec<String> =
        values(&Config::default()).iter().map(|(key, value)| format!("{key} {value}")).collect();
    let pinned = "\
        name node
        namespace connectome
        data_dir .connectome
        key_file none
        key_passphrase_file none
        storage file
        call_timeout 5s
        stream_timeout 10m
        drain_timeout 10s
        stop_timeout 10s
        membership.heartbeat 500ms
        membership.suspect_after 2s
        membership.down_after 6s
        mailbox.capacity 1024
        mailbox.bytes 8MiB
        mailbox.overflow block
        ownership.lease 45s
        tasks.lease 10s
        tasks.attempt_max 1h
        tasks.per_worker 1
        streams.retention limits
        streams.max_age 7d
        streams.max_bytes 1GB
        streams.duplicate_window 2m
        streams.shards 16
        consumers.ack_pending_max 4096
        consumers.rate_limit none
        nats.url none
        nats.credentials none
        nats.ca_file none
        nats.replicas 1
        nats.profile fast
        nats.monitors none
        nats.request_timeout 2s
        libp2p.listen none
        libp2p.announce none
        libp2p.peers none
        libp2p.mdns off
        libp2p.relays none
        libp2p.relay off
        libp2p.relay_reservations 128
        libp2p.relay_circuits 128
        libp2p.relay_circuit_bytes 1GiB
        libp2p.relay_circuit_duration 1h
        libp2p.upnp off
        libp2p.dht off
        libp2p.dht_announced_for 5m
        libp2p.store none
        libp2p.allow none
        libp2p.deny none
        libp2p.secret_file none
        libp2p.connections 512
        libp2p.connections_per_address 64
        libp2p.memory none
        events.messages off
        sealing.enabled on
        sealing.peers any
        sealing.allow none
        sealing.organisations none
        compression.enabled on
        compression.encodings zstd,lz4,identity
        compression.threshold 1KiB
        log.filter info
        log.format text
        log.status_every none";
    assert_eq!(shown, pinned.lines().map(str::trim).collect::<Vec<_>>());
}

#[test]
fn flags_beat_the_environment_which_beats_the_file_which_beats_the_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    fs::write(&path, "name = 'file'\nnamespace = 'file'\n[streams]\nmax_age = '1d'\n").unwrap();
    let env = [("CONNECTOME_NAMESPACE", "env"), ("CONNECTOME_STREAMS_MAX_AGE", "2d")];
    let config = Config::load(Some(&path), env, [("streams.max_age", "3d")]).unwrap();
    assert_eq!((config.name.as_str(), config.namespace.as_str()), ("file", "env"));
    assert_eq!(config.streams.max_age, Some(Duration::from_secs(3 * 86_400)));
    assert_eq!(origin(&config, "name"), format!("{}:1", path.display()));
    assert_eq!(origin(&config, "namespace"), "environment CONNECTOME_NAMESPACE");
    assert_eq!(origin(&config, "streams.max_age"), "flag");
    assert_eq!(origin(&config, "storage"), "default");
}

#[test]
fn every_key_can_be_set_by_its_variable_its_flag_and_in_the_file() {
    for (key, value) in values(&Config::default()) {
        let variable = key::find(key).unwrap().variable();
        from_env(&[(&variable, &value)]).unwrap_or_else(|error| panic!("{error}"));
        from_flags(&[(key, &value)]).unwrap_or_else(|error| panic!("{error}"));
        from_text(&format!("{key} = '{value}'")).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn no_two_keys_share_a_name_or_a_variable() {
    let names: BTreeSet<_> = KEYS.iter().map(|key| key.name).collect();
    let variables =
        KEYS.iter().flat_map(|key| key.aliases.iter().map(|a| (*a).to_owned()).chain([key.variable()]));
    assert_eq!(
        (names.len(), variables.clone().collect::<BTreeSet<_>>().len()),
        (KEYS.len(), variables.count())
    );
}

#[test]
fn a_file_is_read_in_toml_s_own_types_too() {
    let config = from_text(
        "mailbox.capacity = 2_048\nmailbox.bytes = 0x200000\ncompression.enabled = false\n\
         [compression]\nencodings = ['lz4', 'identity']\n",
    );
    assert!(config.is_err(), "a table that is opened twice is not TOML");
    let config = from_text(
        "[mailbox]\ncapacity = 2_048\nbytes = 2097152\n\
         [compression]\nenabled = false\nencodings = ['lz4', 'identity']\n",
    )
    .unwrap();
    assert_eq!((config.mailbox.capacity, config.mailbox.bytes), (2_048, 2 << 20));
    assert_eq!(config.router.encodings, [Encoding::Lz4, Encoding::Identity]);
    assert_eq!(config.node_options().router.encodings, [Encoding::Identity], "compression is off");
}

#[test]
fn the_file_is_the_one_that_is_named_else_the_one_in_the_variable() {
    let dir = tempfile::tempdir().unwrap();
    let (named, variable) = (dir.path().join("named.toml"), dir.path().join("variable.toml"));
    fs::write(&named, "name = 'named'").unwrap();
    fs::write(&variable, "name = 'variable'").unwrap();
    let env = [("CONNECTOME_CONFIG", &variable)];
    assert_eq!(Config::load(None, env, []).unwrap().name, "variable");
    assert_eq!(Config::load(Some(&named), env, []).unwrap().name, "named");
}

#[test]
fn all_problems_are_told_together_each_with_place_value_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    fs::write(&path, "nam = 'x'\n[streams]\nmax_bytes = 'lots'\n").unwrap();
    let env = [("CONNECTOME_CALL_TIMEOUT", "5"), ("CONNECTOME_STORAGE", "disk")];
    let told = error(Config::load(Some(&path), env, [("mailbox.capacity", "0"), ("mailbox.byts", "1MiB")]));
    let told = told.replace(&path.display().to_string(), "c.toml");
    let expected = [
        "the configuration has 6 problems:",
        "  nam (c.toml:1): no such key; did you mean name?",
        "  mailbox.byts (flag): no such key; did you mean mailbox.bytes?",
        "  streams.max_bytes = \"lots\" (c.toml:3): not a size; write a whole number and a unit (B, KB, KiB, MB, MiB, GB, \
         GiB, TB, TiB), such as 1GB; or none, for no bound",
        "  storage = \"disk\" (environment CONNECTOME_STORAGE): not one of the words for it; write one of file, memory",
        "  call_timeout = \"5\" (environment CONNECTOME_CALL_TIMEOUT): it has no unit; write 5s, or another unit: ms, s, m, \
         h, d",
        "  mailbox.capacity = \"0\" (flag): too small; write something between 1 and 1000000",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_variable_that_means_nothing_is_an_error_with_a_suggestion() {
    assert!(
        error(from_env(&[("CONNECTOME_STREAM_MAX_AGE", "1d")]))
            .contains("did you mean CONNECTOME_STREAMS_MAX_AGE?")
    );
    assert!(
        error(from_env(&[("CONNECTOME_SOMETHING_ELSE", "1")]))
            .contains("`connectome config` lists what there is")
    );
    assert!(from_env(&[("PATH", "/bin"), ("CONNECTOMES", "1"), ("connectome_name", "x")]).is_ok());
}

#[test]
fn a_key_that_means_nothing_is_an_error_with_a_suggestion() {
    for (wrong, meant) in
        [("max_age", "streams.max_age"), ("stream.max_age", "streams.max_age"), ("Name", "name")]
    {
        assert!(error(from_flags(&[(wrong, "x")])).contains(&format!("did you mean {meant}?")), "{wrong}");
    }
    let far = error(from_flags(&[("colour", "red")]));
    assert!(!far.contains("did you mean"), "{far}");
}

#[test]
fn nats_s_names_for_retention_apply_and_ours_are_stronger() {
    let nats = [
        ("NATS_STREAM_MAX_AGE", "1d"),
        ("NATS_STREAM_MAX_BYTES", "2GB"),
        ("NATS_STREAM_RETENTION", "limits"),
        ("CONNECTOME_STREAMS_MAX_BYTES", "3GB"),
    ];
    let config = from_env(&nats).unwrap();
    assert_eq!(config.streams.max_age, Some(Duration::from_secs(86_400)));
    assert_eq!(config.streams.max_bytes, Some(3_000_000_000));
    assert_eq!(origin(&config, "streams.max_age"), "environment NATS_STREAM_MAX_AGE");
    assert!(error(from_env(&[("NATS_STREAM_RETENTION", "interest")])).contains("write limits"));
}

#[test]
fn nats_servers_are_checked_and_shown_without_their_passwords() {
    let config = from_env(&[("NATS_URL", "nats://me:secret@one:4222, nats://me:secret@two")]);
    if cfg!(feature = "nats") {
        let config = config.unwrap();
        assert_eq!(config.nats.url.as_deref(), Some("nats://me:secret@one:4222, nats://me:secret@two"));
        assert_eq!(origin(&config, "nats.url"), "environment NATS_URL");
        assert!(!format!("{}", config.describe()).contains("me:secret"));
    } else {
        assert!(error(config).contains("feature nats"));
    }
    for wrong in ["http://me:secret@one", "nats://", ","] {
        let told = error(from_env(&[("NATS_URL", wrong)]));
        assert!(told.contains("NATS_URL") && told.contains("nats") && !told.contains("secret"), "{told}");
    }
    assert!(error(from_env(&[("NATS_STREAM_REPLICAS", "9")])).contains("between 1 and 5"));
}

#[test]
fn what_would_do_nothing_is_refused_without_showing_its_value() {
    for name in ["NATS_STREAM_DISCARD", "CENTRAL_CORE_URL", "WEBSOCKET_URL"] {
        let told = error(from_env(&[(name, "nats://user:secret@host")]));
        assert!(told.contains(name) && told.contains("unset it") && !told.contains("secret"), "{told}");
    }
    assert!(from_env(&[("NATS_URL", "")]).is_ok(), "an empty variable is not set");
}

#[test]
fn what_other_programs_set_too_is_a_warning() {
    let config = from_env(&[("AGENT_NAME", "runner 7"), ("AGENT_ID", "7")]).unwrap();
    assert_eq!(config.warnings.len(), 2);
    assert!(
        config.warnings[1].contains("AGENT_NAME is set") && config.warnings[1].contains("CONNECTOME_NAME")
    );
}

#[test]
fn values_that_do_not_go_together_are_told_with_both() {
    let told = error(from_flags(&[("membership.suspect_after", "400ms")]));
    assert!(told.contains(
        "membership.heartbeat = \"500ms\" (default): it is not shorter than membership.suspect_after"
    ));
    assert!(told.contains("which is 400ms"), "{told}");
    assert!(from_flags(&[("tasks.lease", "2h")]).is_err());
}

#[test]
fn a_program_s_own_values_are_checked_and_shown_as_such() {
    let mut config = from_env(&[("CONNECTOME_NAME", "till")]).unwrap();
    config.name = "till 3".to_owned();
    config.mailbox.capacity = 7;
    let told = config.check().unwrap_err().to_string();
    assert!(told.contains("name = \"till 3\" (program): it has ' ' in it; use 1 to 63 letters"), "{told}");
    assert_eq!(
        (origin(&config, "name"), origin(&config, "mailbox.capacity")),
        ("program".into(), "program".into())
    );
}

#[test]
fn a_bound_can_be_taken_away() {
    let config = from_flags(&[("streams.max_age", "none"), ("streams.max_bytes", "NONE")]).unwrap();
    assert_eq!((config.streams.max_age, config.streams.max_bytes), (None, None));
}

#[test]
fn a_file_that_is_not_there_not_text_too_large_or_not_toml_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let load = |bytes: &[u8]| {
        let path = dir.path().join("c.toml");
        fs::write(&path, bytes).unwrap();
        error(Config::load(Some(&path), NOTHING, []))
    };
    assert!(error(Config::load(Some(&dir.path().join("none")), NOTHING, [])).contains("name a TOML file"));
    assert!(error(Config::load(Some(dir.path()), NOTHING, [])).contains("name a TOML file"));
    assert!(load(&[0xff, 0xfe]).contains("UTF-8"));
    assert!(load(&vec![b'\n'; 65 * 1024]).contains("larger than the 65536 bytes"));
    let syntax = load(b"name = 'a'\nstorage = \nnamespace 'b'\n");
    assert!(syntax.contains("c.toml:2): ") && syntax.contains("c.toml:3): "), "{syntax}");
}

#[test]
fn a_file_full_of_wrong_keys_makes_a_short_error() {
    let text: String = (0..5_000).map(|at| format!("k{at} = 1\n")).collect();
    let told = error(from_text(&text));
    assert!(told.starts_with("the configuration has 5000 problems:") && told.ends_with("and 4968 more"));
    assert!(told.len() < 8_192, "{}", told.len());
}

#[test]
fn a_wrong_text_is_shown_short_and_without_control_characters() {
    let long = "x".repeat(100_000);
    let told = error(Config::load(None, NOTHING, [("storage", long.as_str()), ("\u{1b}[31m\n", "x")]));
    assert!(told.len() < 1_000 && !told.contains('\u{1b}') && told.lines().count() == 3, "{told}");
}

#[cfg(unix)]
#[test]
fn a_value_that_is_no_text_is_a_problem_of_ours_only() {
    use std::os::unix::ffi::OsStrExt;
    let raw = std::ffi::OsStr::from_bytes(b"\xff");
    assert!(Config::load(None, [("LANG", raw)], []).is_ok());
    assert!(error(Config::load(None, [("CONNECTOME_NAME", raw)], [])).contains("not UTF-8"));
}

#[test]
fn the_description_is_json_for_machines() {
    let config = from_flags(&[("name", "till-3")]).unwrap();
    let json = serde_json::to_value(config.describe()).unwrap();
    assert_eq!(json[0]["key"], "name");
    assert_eq!((&json[0]["value"], &json[0]["origin"]), (&"till-3".into(), &"flag".into()));
    assert_eq!(json[0]["variable"], "CONNECTOME_NAME");
}

/// The keys of streams have the names that NATS's users know, and durable is refused where it can't be.
#[test]
fn streams_are_configured_by_the_names_one_knows() {
    let known = [
        ("NATS_URL", "one,two"),
        ("NATS_STREAM_SHARDS", "64"),
        ("NATS_STREAM_STORAGE", "file"),
        ("NATS_STREAM_DUPLICATE_WINDOW", "5m"),
        ("NATS_STREAM_MAX_BYTES", "1GB"),
        ("NATS_STREAM_MAX_AGE", "7d"),
        ("NATS_STREAM_REPLICAS", "3"),
        ("NATS_STREAM_RETENTION", "limits"),
        ("CONNECTOME_CONSUMERS_RATE_LIMIT", "500"),
        ("CONNECTOME_CONSUMERS_ACK_PENDING_MAX", "100"),
        ("CONNECTOME_OWNERSHIP_LEASE", "20s"),
        ("CONNECTOME_NATS_PROFILE", "durable"),
    ];
    let config = Config::load(None, known, []).unwrap();
    assert_eq!((config.router.shards, config.consumer_rate, config.nats.replicas), (64, Some(500), 3));
    assert_eq!((config.nats.profile, config.router.ack_pending_max), (Profile::Durable, 100));
    for (flags, words) in [
        (vec![("nats.profile", "durable"), ("nats.url", "one")], "nats.replicas"),
        (vec![("nats.profile", "durable"), ("storage", "memory")], "storage"),
        (vec![("nats.profile", "safe")], "fast, durable"),
        (vec![("streams.shards", "0")], "between 1 and 256"),
        (vec![("consumers.rate_limit", "many")], "none"),
        (vec![("ownership.lease", "2s")], "membership.down_after"),
        (vec![("nats.monitors", "https://one")], "http://host:8222"),
        (vec![("libp2p.listen", "127.0.0.1:4001")], "/ip4/0.0.0.0/tcp/4001"),
        (vec![("libp2p.peers", "/ip4/1.2.3.4/tcp/4001/p2p/somebody")], "/dns/host/tcp/4001/p2p/12D3"),
        (vec![("libp2p.relays", "/ip4/1.2.3.4/tcp/4001")], "/dns/host/tcp/4001/p2p/12D3"),
        (vec![("libp2p.allow", "ada")], "12D3"),
        (vec![("libp2p.store", "here")], "write serve"),
        (vec![("libp2p.store", "/ip4/1.2.3.4/tcp/4001")], "/p2p/"),
        (vec![("libp2p.store", "serve")], "set libp2p.listen"),
        (vec![("libp2p.store", "serve"), ("libp2p.mdns", "on"), ("nats.url", "one")], "unset libp2p.store"),
        (vec![("libp2p.connections", "1")], "between 8 and 65536"),
    ] {
        let error = Config::load(None, [("CONNECTOME_NAME", "n")], flags.clone()).unwrap_err().to_string();
        assert!(error.contains(words), "{flags:?}: {error}");
    }
    let both = [("libp2p.listen", "/ip4/0.0.0.0/tcp/1"), ("nats.url", "one")];
    assert!(
        Config::load(None, [("CONNECTOME_NAME", "n")], both).is_ok(),
        "a node may have two ways to the others"
    );
}

#[cfg(feature = "libp2p")]
#[test]
fn a_store_that_is_served_is_shared() {
    const AT: &str = "/ip4/1.2.3.4/tcp/4001/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    let load =
        |flags: &[(&str, &str)]| Config::load(None, [("CONNECTOME_NAME", "n")], flags.to_vec()).unwrap();
    let direct = load(&[("libp2p.listen", "/ip4/0.0.0.0/tcp/1")]);
    assert!(!direct.node_options().router.store_is_shared && !direct.libp2p.serves());
    let serves = load(&[("libp2p.listen", "/ip4/0.0.0.0/tcp/1"), ("libp2p.store", "serve")]);
    assert!(serves.node_options().router.store_is_shared && serves.libp2p.serves());
    assert_eq!(serves.libp2p.serving_node(), Ok(None));
    let uses = load(&[("libp2p.store", AT)]);
    assert!(uses.node_options().router.store_is_shared && !uses.libp2p.serves());
    assert!(uses.libp2p.serving_node().unwrap().is_some());
    assert_eq!(uses.libp2p.options().unwrap().peers, [AT], "it is dialled");
}
