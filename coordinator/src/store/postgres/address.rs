//! Where a database is. The password is taken in here, and never given out again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::encryption::Encryption;

/// How long the server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long what was sent may stay unacknowledged before the connection is given up.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);

/// What a database's address looks like.
pub const ADDRESSES: &str = "postgres://USER@HOST[:PORT]/DATABASE";

/// The address of a database, with what it takes to get in.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub(super) config: Config,
    pub(super) encryption: Option<Encryption>,
    /// For people: without the password.
    shown: String,
}

/// It is none. What was given is not repeated, because there may be a password in it.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("this is not the address of a database; {ADDRESSES} is accepted")]
pub struct AddressError;

impl Address {
    /// Whether a password was given with the address.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// The same address, to be entered with this password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }

    /// Whether everything stays on this machine.
    pub(super) fn is_local(&self) -> bool {
        let hosts = self.config.get_hosts().iter().all(|host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        });
        // An address that stands beside a host is where it is looked for.
        hosts && self.config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let scheme = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
        let mut config = text.parse::<Config>().ok().filter(|_| scheme).ok_or(AddressError)?;
        let (Some(user), Some(database), false) =
            (config.get_user(), config.get_dbname(), config.get_hosts().is_empty())
        else {
            return Err(AddressError);
        };
        let hosts: Vec<_> = config.get_hosts().iter().enumerate().map(|(i, host)| name(&config, i, host)).collect();
        let shown = format!("postgres://{user}@{}/{database}", hosts.join(","));
        config.application_name("phasegrid").connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(TCP_TIMEOUT);
        Ok(Self { config, encryption: None, shown })
    }
}

/// A host and its port.
fn name(config: &Config, index: usize, host: &Host) -> String {
    let ports = config.get_ports();
    // One port is that of all hosts.
    let port = ports.get(index).or(ports.first()).map(|port| format!(":{port}")).unwrap_or_default();
    match host {
        Host::Tcp(name) => format!("{name}{port}"),
        Host::Unix(folder) => format!("{}{port}", folder.display()),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_and_never_shown() {
        let address: Address = "postgres://grid:s%40crt@db:5433/sweeps".parse().unwrap();
        assert_eq!(address.config.get_password(), Some("s@crt".as_bytes()));
        assert_eq!(address.to_string(), "postgres://grid@db:5433/sweeps");
        assert!(!format!("{address:?}").contains("crt"));
        let error = "postgres://grid:s%40crt@db:port/sweeps".parse::<Address>().unwrap_err();
        assert!(!error.to_string().contains("crt"), "{error}");
    }

    #[test]
    fn user_host_and_database_must_be_named() {
        for wrong in ["", "sweeps", "host=db user=grid dbname=sweeps", "postgres://db/sweeps", "postgres://grid@db"] {
            assert_eq!(wrong.parse::<Address>(), Err(AddressError), "{wrong}");
        }
    }

    #[test]
    fn an_address_of_this_machine_is_known() {
        let local = |text: &str| text.parse::<Address>().unwrap().is_local();
        assert!(local("postgres://grid@127.0.0.1/sweeps") && local("postgres://grid@%2Frun%2Fpg/sweeps"));
        assert!(!local("postgres://grid@localhost/sweeps?hostaddr=10.0.0.5"));
        assert!(!local("postgres://grid@db.example/sweeps") && !local("postgres://grid@localhost,10.0.0.1/sweeps"));
    }
}
