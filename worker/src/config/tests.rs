//! Claims about settings, their sources and their errors.

use std::io::Write as _;

use super::*;
use crate::cuda::Gpus;

fn load(file: &str, environment: &[(&str, &str)], args: Args) -> Result<Settings, SettingsError> {
    let mut settings = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    settings.write_all(file.as_bytes()).unwrap();
    let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Settings::load(Args { config: Some(settings.path().to_owned()), ..args }, environment)
}

fn problems(file: &str, environment: &[(&str, &str)]) -> String {
    load(file, environment, Args::default()).unwrap_err().to_string()
}

#[test]
fn nothing_set_is_a_worker_of_this_machine() {
    let settings = Settings::load(Args::default(), HashMap::new()).unwrap();
    assert_eq!(settings.coordinator, "http://127.0.0.1:7700");
    assert_eq!((settings.device, settings.slots), (DeviceChoice::Auto, None));
    assert_eq!(settings.snapshots, SnapshotSettings { place: None, interval: Duration::from_secs(10) });
    assert!(identity::is_name(&settings.name));
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "ca = \"file.pem\"\nslots = 1\ndevice = \"cuda:1\"\nname = \"file\"\nlog = \"debug\"\nsnapshots = \"/s\"\nsnapshot_interval = 5\nspool = \"/scratch\"\n";
    let environment = [
        ("PHASEGRID_WORKER_SLOTS", "2"),
        ("PHASEGRID_WORKER_NAME", "environment"),
        ("PHASEGRID_COORDINATOR", "http://there:1"),
        ("PHASEGRID_CA", "/environment/ca.pem"),
        ("PHASEGRID_TOKEN_FILE", "environment.token"),
        ("PHASEGRID_TOKEN", "a-token"),
        ("PHASEGRID_WORKER_SNAPSHOT_INTERVAL", "2m"),
        ("PHASEGRID_WORKER_SPOOL_GIB", "1.5"),
        ("PHASEGRID_SOMETHING_ELSE", "is not the worker's"),
    ];
    let token_file = Some("flag.token".into());
    let args = Args { token_file, slots: Some("3".into()), log_format: Some("json".into()), ..Args::default() };
    let settings = load(file, &environment, args).unwrap();
    let expected = Settings {
        coordinator: "http://there:1".into(),
        ca: Some("/environment/ca.pem".into()),
        token: TokenSource::File("flag.token".into()),
        device: DeviceChoice::Cuda(Gpus::These(vec![1])),
        slots: Some(3),
        name: "environment".into(),
        snapshots: SnapshotSettings { place: Some(Place::Folder("/s".into())), interval: Duration::from_secs(120) },
        spool: SpoolSettings { folder: Some("/scratch".into()), all: 3 << 29, ..SpoolSettings::default() },
        log: "debug".into(),
        log_format: LogFormat::Json,
    };
    assert_eq!(settings, expected);
}

#[test]
fn the_sample_names_every_key_with_its_default() {
    let sample = include_str!("../../../deploy/worker.toml");
    assert!(load(sample, &[], Args::default()).is_ok());
    // Keys whose default depends on the machine are commented out.
    let uncommented: String =
        sample.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
    let settings = load(&uncommented, &[], Args::default()).unwrap();
    let defaults = Settings::load(Args::default(), HashMap::new()).unwrap();
    let snapshots = SnapshotSettings { place: None, ..settings.snapshots };
    assert_eq!(settings.ca, Some("phasegrid-tls/ca.pem".into()));
    assert_eq!(settings.token, TokenSource::File("worker.token".into()));
    assert_eq!(settings.spool.folder, Some("/scratch/phasegrid".into()));
    let spool = SpoolSettings { folder: None, ..settings.spool };
    let (ca, token) = (None, TokenSource::None);
    assert_eq!(
        Settings { slots: None, name: defaults.name.clone(), snapshots, spool, ca, token, ..settings },
        defaults
    );
    for key in KEYS.split(", ") {
        assert!(uncommented.lines().any(|line| line.starts_with(&format!("{key} = "))), "{key}");
    }
}

#[test]
fn all_problems_are_named_at_once_with_key_origin_and_what_is_accepted() {
    let file = "slots = 0\ndevice = \"gpu\"\ncoordinator = [1]\nslot = 1\nlog = \"a=b=c\"\nsnapshots = \"gs://b\"\n\
                snapshot_interval = \"-1s\"\nspool_gib = 0\n";
    let problems = problems(file, &[("PHASEGRID_WORKER_LOG_FORMAT", "xml"), ("PHASEGRID_WORKER_SPEED", "1")]);
    for part in [
        "coordinator: this in ",
        "device: \"gpu\" in ",
        "accepted: auto, cpu, cuda or cuda:N,…",
        "slots: \"0\" in ",
        "accepted: 1 to 65536",
        "snapshots: \"gs://b\" in ",
        "accepted: a folder, file:///FOLDER, s3://BUCKET/PREFIX or none",
        "snapshot_interval: \"-1s\" in ",
        "spool_gib: \"0\" in ",
        "log: \"a=b=c\"",
        "log_format: \"xml\" in the environment is not accepted; accepted: human or json",
        "slot: there is no such key; accepted: coordinator, ca, token_file, device,",
        "speed: there is no such key",
    ] {
        assert!(problems.contains(part), "{part:?} is missing in:\n{problems}");
    }
}

#[test]
fn only_bare_urls_with_a_host_are_coordinators() {
    for url in ["", "localhost:7700", "http://", "http://host/path", "ftp://host", "http://a b"] {
        assert_eq!(coordinator(url), None, "{url:?}");
    }
    assert!(coordinator("http://[::1]:7700").is_some() && coordinator("https://host:1").is_some());
}

#[test]
fn a_token_in_the_environment_is_shown_and_never_told() {
    let environment = [("PHASEGRID_TOKEN", "a-token")];
    let settings = load("", &environment, Args::default()).unwrap();
    assert_eq!(settings.token, TokenSource::Environment("a-token".into()));
    assert!(!format!("{settings:?} {:?}", settings.credentials().unwrap()).contains("a-token"));
    assert!(problems("token = \"a-token\"", &[]).contains("token: there is no such key"));
}

#[test]
fn a_missing_file_is_named() {
    let args = Args { config: Some("no-such-file.toml".into()), ..Args::default() };
    assert!(Settings::load(args, HashMap::new()).unwrap_err().to_string().contains("no-such-file.toml"));
}

#[test]
fn help_explains_every_flag() {
    let help = <Args as clap::CommandFactory>::command().render_long_help().to_string();
    for key in KEYS.split(", ") {
        assert!(help.contains(&format!("--{} ", key.replace('_', "-"))), "{key}");
    }
    for word in ["--config", "Exit codes", "CUDA_VISIBLE_DEVICES", "AWS_REGION"] {
        assert!(help.contains(word), "{word}");
    }
}
