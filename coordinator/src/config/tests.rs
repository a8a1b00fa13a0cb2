//! Claims about settings, where they come from and what is wrong with them.

use super::*;

const NO_FLAGS: [(&str, String); 0] = [];

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn the_sample_in_deploy_names_every_key_at_its_default() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/coordinator.toml");
    let settings = Settings::load(Some(Path::new(sample)), [], NO_FLAGS).unwrap();
    assert_eq!(settings, Settings::default());
    // A key whose default is no value is there as a comment.
    let text = std::fs::read_to_string(sample).unwrap();
    let text: String = text.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line).to_owned() + "\n").collect();
    assert_eq!(text.parse::<toml::Table>().unwrap().keys().collect::<Vec<_>>(), KEYS);
    // Of two keys that exclude each other one is left out.
    let text = text.replace("\ndata =", "\n#data =");
    let settings = Settings::load(Some(file(&text).path()), [], NO_FLAGS).unwrap();
    assert_eq!(settings.snapshots, Some(Place::folder("phasegrid-data/snapshots".as_ref())));
    assert_eq!(settings.archive, Some(Place::folder("phasegrid-data/archive".as_ref())));
    assert_eq!(settings.store, "postgres://phasegrid@127.0.0.1/phasegrid".parse().ok());
    assert_eq!(settings.store_ca, Some("phasegrid-tls/ca.pem".into()));
    let (certificate, key) = ("phasegrid-tls/server.pem".into(), "phasegrid-tls/server.key".into());
    assert_eq!(settings.tls, Some(TlsFiles { certificate, key }));
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let file = file("lease_time = 40\nmax_attempts = 4\nlisten = \"127.0.0.1:1\"");
    let environment = [("PHASEGRID_LEASE_TIME", "50s"), ("PHASEGRID_MAX_ATTEMPTS", "5"), ("HOME", "/")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings::load(Some(file.path()), environment, [("lease_time", "1m".to_owned())]).unwrap();
    assert_eq!(settings.leasing.lease_time, Duration::from_secs(60));
    assert_eq!(settings.leasing.max_attempts, 5);
    assert_eq!(settings.listen.port(), 1);
}

#[test]
fn every_problem_is_reported_at_once_with_its_key_and_what_is_accepted() {
    let file = file("lisen = \"127.0.0.1:1\"\nlease_time = \"soon\"\nmax_attempts = 0\nlog_format = \"xml\"");
    let problems = Settings::load(Some(file.path()), [], NO_FLAGS).unwrap_err().to_string();
    let lines: Vec<_> = problems.lines().collect();
    assert_eq!(lines.len(), 4, "{problems}");
    let at = lines[3].strip_prefix("lisen: unknown key in ").and_then(|rest| rest.split_once(';')).unwrap().0;
    assert!(at.ends_with(".toml"), "{problems}");
    assert_eq!(
        lines[0],
        format!(
            "lease_time: \"soon\" in {at} is not accepted; it takes a duration above zero and up to 365 days as in \
             \"500ms\", \"30s\", \"2m\", \"1h\", \"30d\" or a number of seconds"
        )
    );
    assert_eq!(lines[1], format!("max_attempts: \"0\" in {at} is not accepted; it takes a number from 1"));
    let flags = [("log_format", "xml".to_owned())];
    let problem = Settings::load(None, [], flags).unwrap_err().to_string();
    assert_eq!(problem, "log_format: \"xml\" among the flags is not accepted; it takes \"human\" or \"json\"");
}

#[test]
fn a_database_is_named_without_showing_its_password() {
    let url = "postgres://grid:s3cret@db/sweeps";
    let load = |environment: &[(&str, &str)], flags: &[(&'static str, &str)]| {
        let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Settings::load(None, environment, flags.iter().map(|(key, value)| (*key, value.to_string())))
    };
    let settings = load(&[("PHASEGRID_STORE", url)], &[]).unwrap();
    assert_eq!(settings.store, url.parse().ok());
    assert!(!format!("{settings:?}").contains("s3cret"));
    assert_eq!((settings.snapshots(), settings.archive().place), (Place::Nowhere, Place::Nowhere));
    let flag = [("store", "postgres://grid@db/sweeps")];
    assert_eq!(load(&[("PGPASSWORD", "s3cret")], &flag).unwrap().store, url.parse().ok());
    for (problem, refused) in [
        ("leave the password out", load(&[], &[("store", url)])),
        ("leave one of them out", load(&[("PHASEGRID_DATA", "here")], &flag)),
        ("postgres://USER@HOST[:PORT]/DATABASE", load(&[], &[("store", "postgres://grid:s3cret@db:x/sweeps")])),
    ] {
        let message = refused.unwrap_err().to_string();
        assert!(message.starts_with("store: ") && message.contains(problem), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn what_cannot_be_kept_where_it_is_wanted_is_refused() {
    let load = |key, place: &str| Settings::load(None, [], [(key, place.to_owned())]);
    assert_eq!(load("snapshots", "none").unwrap().snapshots, Some(Place::Nowhere));
    assert_eq!(load("archive", "none").unwrap().archive, Some(Place::Nowhere));
    for key in ["snapshots", "archive"] {
        let problem = format!("{key}: \"gs://bucket\" among the flags is not accepted; it takes {PLACES}");
        assert_eq!(load(key, "gs://bucket").unwrap_err().to_string(), problem);
    }
}

#[test]
fn a_certificate_and_its_key_come_together() {
    for (given, missing) in [("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")] {
        let problem = Settings::load(None, [], [(given, "x.pem".to_owned())]).unwrap_err().to_string();
        assert_eq!(
            problem,
            format!("{missing}: missing; where there is a {given}, it takes the file that goes with it")
        );
    }
}

#[test]
fn what_is_off_is_off_and_nonsense_is_refused() {
    let load = |key, value: &str| Settings::load(None, [], [(key, value.to_owned())]);
    assert_eq!(load("seal_records", "20").unwrap().archive().seal_records, 20);
    assert_eq!(load("breaker_points", "off").unwrap().leasing.breaker, None);
    assert_eq!(load("breaker_share", "0.9").unwrap().leasing.breaker, Some(Breaker { points: 20, share: 0.9 }));
    assert_eq!(load("retry_backoff", "off").unwrap().leasing.retry_backoff, Duration::ZERO);
    assert_eq!(load("hard_deadline", "off").unwrap().leasing.hard_deadline, None);
    for (key, value) in [
        ("hard_deadline", "0.5"),
        ("hard_deadline_least", "off"),
        ("breaker_points", "0"),
        ("breaker_share", "1"),
        ("breaker_share", "nan"),
        ("retry_backoff", "0"),
        ("seal_records", "0"),
    ] {
        assert!(load(key, value).unwrap_err().to_string().starts_with(key), "{key} = {value}");
    }
}

#[test]
fn a_heartbeat_as_long_as_the_lease_is_refused() {
    let flags = [("heartbeat_interval", "40s".to_owned())];
    let problem = Settings::load(None, [], flags).unwrap_err().to_string();
    assert!(problem.starts_with("heartbeat_interval: at most half of lease_time"), "{problem}");
}

#[test]
fn a_heartbeat_that_is_not_given_fits_the_lease_time() {
    let heartbeat = |lease_time: &str| {
        let flags = [("lease_time", lease_time.to_owned())];
        Settings::load(None, [], flags).unwrap().leasing.heartbeat_interval
    };
    assert_eq!(heartbeat("5s"), Duration::from_secs(1));
    assert_eq!(heartbeat("15s"), Duration::from_secs(3));
    assert_eq!(heartbeat("1h"), Duration::from_secs(10));
}

#[test]
fn a_duration_is_above_zero() {
    assert_eq!(parse_duration("1.5"), Ok(Duration::from_millis(1500)));
    assert!(parse_duration("0s").unwrap_err().starts_with("it takes a duration above zero and up to 365 days"));
}
