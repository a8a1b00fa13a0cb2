//! `init-cluster`: the certificates with which a coordinator may be reached from other machines.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::certificates::{Cluster, FurtherError};
use crate::clock;
use crate::rpc::server::host_name;

use super::failure::Failure;
use super::output::{talk, write_file, write_secret};

/// Make a CA and a coordinator's certificate, for TLS
///
/// Needs no coordinator. Certificates are valid for ten years; the CA is this cluster's own. Nothing is ever overwritten. With
/// --ca it is a further certificate of a CA that is there: clients and workers go on with the ca.pem that they have.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  phasegrid init-cluster --host gpu-head --host 10.1.2.3\n  \
    phasegrid serve --listen 0.0.0.0:7700 --tls-certificate phasegrid-tls/server.pem --tls-key phasegrid-tls/server.key\n  \
    phasegrid init-cluster --ca phasegrid-tls --dir phasegrid-tls-2 --host gpu-head-2")]
pub(super) struct InitCluster {
    /// The folder to make them in
    #[arg(long, value_name = "DIR", default_value = "phasegrid-tls")]
    dir: PathBuf,
    /// The folder with the ca.pem and ca.key of a cluster that is there, for another coordinator or another name of it; ca.key
    /// is not copied
    #[arg(long, value_name = "DIR")]
    ca: Option<PathBuf>,
    /// A name or address by which the coordinator is reached; localhost, 127.0.0.1, ::1 and this machine's name are there in
    /// any case
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
}

impl InitCluster {
    pub(super) fn run(self) -> Result<(), Failure> {
        let hosts = hosts(self.hosts);
        let cluster = self.ca.as_deref().map_or_else(|| anew(&hosts), |ca| further(ca, &hosts))?;
        std::fs::create_dir_all(&self.dir).map_err(Failure::file("make", &self.dir))?;
        let at = |name: &str| self.dir.join(name);
        let [ca, ca_key, certificate, key] = ["ca.pem", "ca.key", "server.pem", "server.key"].map(at);
        if let Some(there) = [&ca, &ca_key, &certificate, &key].into_iter().find(|path| path.exists()) {
            return Err(Failure::Refused(format!(
                "{} is there already, and whoever trusts it would be left outside: choose another folder with --dir, or remove \
                 the old cluster's files yourself",
                there.display()
            )));
        }
        // Keys first: they refuse what appeared meanwhile.
        if self.ca.is_none() {
            write_secret(&ca_key, &cluster.ca_key)?;
        }
        write_secret(&key, &cluster.key)?;
        write_file(&ca, cluster.ca.as_bytes())?;
        write_file(&certificate, cluster.certificate.as_bytes())?;
        match &self.ca {
            None => talk(&next(&self.dir, &hosts)),
            Some(ca) => talk(&format!(
                "{0} holds a certificate (server.pem, server.key) of the CA in {1} for {2}\n\
                 start the coordinator:  phasegrid serve --listen 0.0.0.0:7700 --tls-certificate {0}/server.pem --tls-key {0}/server.key",
                self.dir.display(),
                ca.display(),
                hosts.join(", ")
            )),
        }
        Ok(())
    }
}

/// A new CA with a certificate of it.
fn anew(hosts: &[String]) -> Result<Cluster, Failure> {
    Cluster::new(hosts, clock::now()).map_err(|error| no_host(&error))
}

/// A further certificate of the CA in a folder.
fn further(folder: &Path, hosts: &[String]) -> Result<Cluster, Failure> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(Failure::file("read", &path))
    };
    let (ca, key) = (read("ca.pem")?, read("ca.key")?);
    Cluster::with_ca(ca, &key, hosts, clock::now()).map_err(|error| match error {
        FurtherError::Host(error) => no_host(&error),
        error => Failure::Usage(format!(
            "--ca takes the folder with ca.pem and ca.key as `phasegrid init-cluster` made them, and in {} {error}",
            folder.display()
        )),
    })
}

fn no_host(error: &rcgen::Error) -> Failure {
    Failure::Usage(format!("--host takes names and addresses of machines: {error}"))
}

/// What is reached by which name.
fn hosts(given: Vec<String>) -> Vec<String> {
    let always = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut hosts = Vec::new();
    for host in given.into_iter().chain(host_name()).chain(always) {
        if !host.is_empty() && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// What to do with them.
fn next(dir: &Path, hosts: &[String]) -> String {
    let (host, names, dir) = (&hosts[0], hosts.join(", "), dir.display());
    format!(
        "{dir} holds a CA (ca.pem, ca.key) and a certificate (server.pem, server.key) for {names}\n\
         start the coordinator:  phasegrid serve --listen 0.0.0.0:7700 --tls-certificate {dir}/server.pem --tls-key {dir}/server.key\n\
         it says where the first admin's token is; with that, make others:  phasegrid token create --role worker\n\
         give ca.pem and a token to clients and workers:  PHASEGRID_COORDINATOR=https://{host}:7700 PHASEGRID_CA={dir}/ca.pem \
         PHASEGRID_TOKEN_FILE=FILE\n\
         ca.key makes further certificates and is needed for nothing else: keep it where no one else reads it"
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn init(dir: &Path, host: &str) -> Result<(), Failure> {
        InitCluster { dir: dir.to_owned(), ca: None, hosts: vec![host.to_owned()] }.run()
    }

    fn init_with(ca: &Path, dir: &Path, host: &str) -> Result<(), Failure> {
        InitCluster { dir: dir.to_owned(), ca: Some(ca.to_owned()), hosts: vec![host.to_owned()] }.run()
    }

    #[test]
    fn a_further_certificate_comes_without_the_key_of_its_ca() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second, third] = ["1", "2", "3"].map(|name| folder.path().join(name));
        init(&first, "gpu-head").unwrap();
        init_with(&first, &second, "gpu-head-2").unwrap();
        let read = |dir: &Path, name: &str| std::fs::read(dir.join(name)).unwrap();
        assert_eq!(read(&first, "ca.pem"), read(&second, "ca.pem"));
        assert!(!second.join("ca.key").exists());
        let refusal = init_with(&second, &third, "x").unwrap_err().to_string();
        assert!(refusal.contains("2/ca.key"), "{refusal}");
        let refusal = init_with(&first, &third, "naïve host").unwrap_err().to_string();
        assert!(refusal.starts_with("--host takes names"), "{refusal}");
        std::fs::copy(first.join("server.key"), second.join("ca.key")).unwrap();
        let refusal = init_with(&second, &third, "x").unwrap_err().to_string();
        assert!(refusal.starts_with("--ca takes the folder") && !third.exists(), "{refusal}");
    }

    #[test]
    fn keys_are_for_their_owner_alone_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("tls");
        init(&dir, "gpu-head").unwrap();
        for key in ["ca.key", "server.key"] {
            assert_eq!(std::fs::metadata(dir.join(key)).unwrap().permissions().mode() & 0o777, 0o600, "{key}");
        }
        let before = std::fs::read(dir.join("ca.pem")).unwrap();
        for gone in ["ca.pem", "server.pem", "server.key"] {
            let refusal = init(&dir, "gpu-head").unwrap_err().to_string();
            assert!(refusal.contains("is there already") && refusal.contains("--dir"), "{refusal}");
            std::fs::rename(dir.join(gone), folder.path().join(gone)).unwrap();
        }
        assert!(init(&dir, "gpu-head").is_err(), "the key of the CA is still there");
        assert_eq!(std::fs::read(folder.path().join("ca.pem")).unwrap(), before);
    }

    #[test]
    fn what_is_no_name_is_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("tls");
        let refusal = init(&dir, "naïve host").unwrap_err().to_string();
        assert!(refusal.starts_with("--host takes names"), "{refusal}");
        assert!(!dir.exists());
    }

    #[test]
    fn the_names_given_come_first_and_this_machine_is_always_among_them() {
        let all = hosts(vec!["gpu-head".to_owned(), "localhost".to_owned()]);
        assert_eq!(all[..2], ["gpu-head", "localhost"]);
        assert!(all.contains(&"127.0.0.1".to_owned()) && all.contains(&"::1".to_owned()));
        assert_eq!(all.iter().filter(|host| *host == "localhost").count(), 1);
    }
}
