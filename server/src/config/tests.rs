use std::io::Write as _;
use std::path::Path;

use media::{FrameRate, Size};

use super::*;

fn set(overrides: &[&str]) -> Result<Config, ConfigError> {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    load(None, [], &overrides)
}

fn refused(overrides: &[&str]) -> String {
    set(overrides).expect_err("refused").to_string()
}

#[test]
fn layers_win_in_order() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "[video]\nfps = 24\nwidth = 640\n[sessions]\nidle = \"90s\"").unwrap();
    let environment = [
        ("NEARLIGHT_VIDEO__FPS".to_owned(), "25".to_owned()),
        ("NEARLIGHT_LOG__FILTER".to_owned(), "warn,nearlight=debug".to_owned()),
        ("NEARLIGHT_TARGET".to_owned(), "not ours".to_owned()),
        ("PATH".to_owned(), "/bin".to_owned()),
    ];
    let config = load(Some(file.path()), environment, &["video.height=360".into()]).unwrap();
    assert_eq!((config.video.width, config.video.height, config.video.fps), (640, 360, 25));
    assert_eq!(config.sessions.idle, HumanDuration::from_secs(90));
    assert_eq!(config.log.filter, "warn,nearlight=debug");
}

#[test]
fn unknown_keys_are_refused_by_name() {
    assert!(refused(&["video.fpz=30"]).contains("fpz"));
    assert!(refused(&["vidio.fps=30"]).contains("vidio"));
    let typo = [("NEARLIGHT_VIDEO__FPZ".to_owned(), "30".to_owned())];
    assert!(load(None, typo, &[]).expect_err("refused").to_string().contains("fpz"));
}

#[test]
fn values_out_of_range_name_their_key() {
    assert!(refused(&["video.width=1281"]).starts_with("video.width"));
    assert!(refused(&["video.fps=0"]).starts_with("video.fps"));
    assert!(refused(&["video.start_rate=50 Mbit/s"]).starts_with("video.start_rate"));
    assert!(refused(&["video.probe_limit=0s"]).starts_with("video.probe_limit"));
    for value in [
        "intra_refresh_frames=1",
        "vbv_percent=99",
        "nvenc_slices=0",
        "nvenc_slices=5",
        "min_qp=41",
    ] {
        let key = value.split('=').next().unwrap();
        let refused = refused(&[&format!("video.{value}")]);
        assert!(refused.starts_with(&format!("video.{key}: ")), "{refused}");
    }
    assert!(refused(&["audio.rate=2 Mbit/s"]).starts_with("audio.rate"));
    assert!(refused(&["audio.channels=5"]).starts_with("audio.channels"));
    assert!(refused(&["audio.packet=60ms"]).starts_with("audio.packet"));
    assert!(refused(&["render.msaa=3"]).starts_with("render.msaa"));
    assert!(refused(&["access.token_sha256=[\"abc\"]"]).starts_with("access.token_sha256"));
    assert!(refused(&["server.tls=files"]).starts_with("server.tls"));
    assert!(refused(&["saves.versions=0"]).starts_with("saves.versions"));
    assert!(refused(&["saves.version_size=0 KiB"]).starts_with("saves.version_size"));
    assert!(refused(&["saves.player_size=255 MiB"]).starts_with("saves.player_size"));
    assert!(refused(&["saves.total_size=1023 MiB"]).starts_with("saves.total_size"));
    assert!(refused(&["sharing.text_size=0 KiB"]).starts_with("sharing.text_size"));
    assert!(refused(&["sharing.image_size=257 MiB"]).starts_with("sharing.image_size"));
    assert!(refused(&["sharing.file_size=0 KiB"]).starts_with("sharing.file_size"));
    assert!(refused(&["sharing.files_size=63 MiB"]).starts_with("sharing.files_size"));
    assert!(refused(&["sharing.files_count=0"]).starts_with("sharing.files_count"));
    assert!(refused(&["sharing.clipboard=in"]).contains("to_game"));
    assert!(refused(&["games.convert=cuda"]).contains("gpu"));
    assert!(refused(&["saves.total_size=20 GB"]).contains("20 GiB"));
    assert!(refused(&["saves.total_size=99999999999999 GiB"]).contains("is not a size"));
    assert!(refused(&["sessions.idle=5 parsecs"]).contains("5 parsecs"));
    assert!(refused(&["video.fps"]).contains("key=value"));
    assert!(refused(&["fps=3"]).contains("section.key"));
}

#[test]
fn what_would_be_ignored_without_a_word_is_refused() {
    let environment = |name: &str| [(name.to_owned(), "30".to_owned())];
    let near = load(None, environment("NEARLIGHT_VIDEO_FPS"), &[]).expect_err("refused");
    assert!(near.to_string().contains("write NEARLIGHT_VIDEO__FPS"), "{near}");
    load(None, environment("NEARLIGHT_SESSIONS"), &[]).expect("not ours");
    let server = r#"webrtc.ice_servers=[{ urls = ["turn:t.test"], user = "u" }]"#;
    assert!(refused(&[server]).contains("user"));
    assert!(refused(&["sessions.connect=0s"]).starts_with("sessions.connect"));
    assert!(refused(&["log.filter=info,=,"]).starts_with("log.filter"));
    let server = r#"webrtc.ice_servers=[{ urls = ["turn:t.test", "foo"] }]"#;
    assert!(refused(&[server]).contains("\"foo\" begins with none"));
    for origin in ["notanorigin", "https://", "https://a.test/"] {
        let refused = refused(&[&format!("server.allowed_origins=[{origin:?}]")]);
        assert!(refused.starts_with("server.allowed_origins"), "{refused}");
    }
    assert!(refused(&["video.encoder=x26"]).contains("gst-x264enc"));
    assert!(refused(&["video.forbid_encoders=[\"x\"]"]).starts_with("video.forbid_encoders"));
    assert!(refused(&["webtransport.per_address=0"]).starts_with("webtransport.per_address"));
    for deadline in ["9ms", "6s"] {
        let refused = refused(&[&format!("webtransport.frame_deadline={deadline}")]);
        assert!(refused.starts_with("webtransport.frame_deadline"), "{refused}");
    }
    assert!(refused(&["video.codecs=[]"]).starts_with("video.codecs"));
    assert!(refused(&["video.codecs=[\"h264\", \"av1\", \"h264\"]"]).contains("there twice"));
    assert!(refused(&["video.codecs=[\"h263\"]"]).contains("h263"));
    assert!(refused(&["video.resilience=keyframes"]).contains("keyframes"));
    assert!(refused(&["video.preset=p5"]).contains("p5"));
    assert!(refused(&["webrtc.udp_port=65536"]).contains("udp_port"));
    let urls = r#"ice.turn_urls=["turn:t.test"]"#;
    assert!(refused(&[urls]).contains("go together"));
    assert!(refused(&["ice.turn_secret=north"]).contains("go together"));
    assert!(
        refused(&[urls, "ice.turn_secret=north", "ice.turn_secret_file=/x"]).contains("set too")
    );
    assert!(refused(&[r#"ice.turn_urls=["stun:t.test"]"#]).contains("\"stun:t.test\""));
    assert!(
        refused(&[urls, "ice.turn_secret=north", "ice.turn_lifetime=0s"]).contains("turn_lifetime")
    );
}

#[test]
fn what_a_rented_node_lacks_is_named() {
    let genesis = format!("chain.genesis=\"0x{}\"", "0b".repeat(32));
    let key = format!("chain.machine_key=\"{}\"", "0c".repeat(32));
    let rpc = r#"chain.rpc=["ws://127.0.0.1:9944"]"#;
    let all = ["chain.enabled=true", &genesis, &key, rpc];
    let config = set(&all).unwrap();
    assert_eq!(config.chain.genesis().unwrap().0, [0x0b; 32]);
    assert!(!format!("{config:?}").contains("0c0c"), "the seed is not shown");
    for (left_out, key) in [(1, "chain.genesis"), (2, "chain.machine_key"), (3, "chain.rpc")] {
        let mut some = all.to_vec();
        some.remove(left_out);
        assert!(refused(&some).starts_with(key), "{key}");
    }
    let with = |more: &str| refused(&[&all[..], &[more]].concat());
    assert!(with("access.open=true").starts_with("access.open"));
    assert!(with("server.listen=0.0.0.0:80").starts_with("server.public_url"));
    assert!(with("chain.machine_key_file=/x").contains("exactly one"));
    assert!(with("chain.trial=121s").starts_with("chain.trial"));
    assert!(with("chain.slice=8001ms").starts_with("chain.slice"));
    assert!(with("chain.slice=49ms").starts_with("chain.slice"));
    assert!(with("chain.machine=0B").starts_with("chain.machine"));
    assert!(with(r#"chain.tariff="1.5""#).starts_with("chain.tariff"));
    assert!(with("chain.promised_latency=0s").starts_with("chain.promised_latency"));
    assert!(with(r#"chain.rpc=["https://a.test"]"#).starts_with("chain.rpc"));
    assert!(refused(&["chain.genesis=\"0x0b\""]).starts_with("chain.genesis"));
}

#[test]
fn hashes_need_no_quotes() {
    // TOML would take it for a number, as small as this one is.
    let bare = format!("chain.genesis=0x{}0b", "0".repeat(62));
    let genesis = set(&[&bare]).unwrap().chain.genesis().unwrap();
    assert_eq!((genesis.0[..31].iter().sum::<u8>(), genesis.0[31]), (0, 0x0b));
}

#[test]
fn secrets_are_not_shown() {
    let config = set(&[r#"ice.turn_urls=["turn:t.test"]"#, "ice.turn_secret=north"]).unwrap();
    let shown = format!("{config:?}{}", toml::to_string(&config).unwrap());
    assert!(!shown.contains("north") && shown.contains("****"), "{shown}");
}

#[test]
fn what_is_asked_of_encoders_reaches_them() {
    let video =
        VideoMode { size: Size::new(640, 360), dpi: VideoMode::DPI, rate: FrameRate::fps(60) };
    let bitrate = Bitrate::from_mbps(3);
    let settings =
        |overrides: &[&str]| set(overrides).unwrap().video.encoder_settings(video, bitrate);
    let usual = EncoderSettings::new(video.size, video.rate, bitrate);
    assert_eq!(settings(&[]), usual);
    let asked = settings(&[
        "video.resilience=intra-refresh",
        "video.intra_refresh_frames=45",
        "video.vbv_percent=250",
        "video.nvenc_slices=4",
        "video.preset=p3",
        "video.min_qp=0",
    ]);
    let expected = EncoderSettings {
        resilience: Resilience::IntraRefresh { units: 45 },
        vbv_percent: 250,
        slices: 4,
        speed: Speed::P3,
        min_qp: 0,
        ..usual
    };
    assert_eq!(asked, expected);
}

#[test]
fn a_missing_or_broken_file_is_named() {
    let missing = load(Some(Path::new("/nonexistent/nearlight.toml")), [], &[]);
    assert!(missing.expect_err("refused").to_string().contains("/nonexistent/nearlight.toml"));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "[video\nfps = 24").unwrap();
    let broken = load(Some(file.path()), [], &[]).expect_err("refused").to_string();
    assert!(broken.contains("is not TOML"), "{broken}");
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let example = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../nearlight.example.toml"));
    let documented = load(Some(example), [], &[]).unwrap();
    let documented = toml::to_string(&documented).unwrap();
    assert_eq!(documented, toml::to_string(&Config::default()).unwrap());
    let text = std::fs::read_to_string(example).unwrap();
    let tree: toml::Table = documented.parse().unwrap();
    for (section, keys) in &tree {
        for key in keys.as_table().unwrap().keys() {
            assert!(
                text.lines().any(|line| line.starts_with(&format!("{key} = "))),
                "[{section}] {key} is not documented"
            );
        }
    }
}
