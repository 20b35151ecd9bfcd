//! Where outgoing requests may go besides public addresses: the entries of `outgoing_allow`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use url::Host;

use crate::error::Error;

/// What the operator vouches for: there, addresses that are not public and plain http are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// A name or an address, lower case and without brackets, whatever it resolves to; with a port, only there.
    Host { name: String, port: Option<u16> },
    /// Every host with an address in it.
    Network { address: IpAddr, prefix: u32 },
}

impl Allowed {
    /// This machine: what `cenote dev` allows.
    pub fn loopback() -> Vec<Allowed> {
        vec![
            Allowed::Network { address: Ipv4Addr::new(127, 0, 0, 0).into(), prefix: 8 },
            Allowed::Network { address: Ipv6Addr::LOCALHOST.into(), prefix: 128 },
        ]
    }

    /// Whether this entry names a host, as `Url::host_str` gives it.
    pub fn names(&self, host: &str, port: u16) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        matches!(self, Allowed::Host { name, port: own } if name == host && own.is_none_or(|own| own == port))
    }

    /// Whether this entry is a network with this address in it.
    pub fn holds(&self, ip: IpAddr) -> bool {
        let Allowed::Network { address, prefix } = self else { return false };
        match (address, ip.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
                own.to_bits() & mask == ip.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
                own.to_bits() & mask == ip.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Allowed {
    type Err = Error;

    fn from_str(text: &str) -> Result<Allowed, Error> {
        let wrong = || {
            Error::invalid(format!(
                "outgoing_allow: {text:?} is neither a host (idp.internal), a host with its port (idp.internal:8443), an address (10.1.2.3) \
                 nor a network (10.0.0.0/8)."
            ))
        };
        let text = text.trim();
        if let Some((address, prefix)) = text.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| wrong())?;
            let prefix: u32 = prefix.parse().map_err(|_| wrong())?;
            let longest = if address.is_ipv4() { 32 } else { 128 };
            return if prefix <= longest {
                Ok(Allowed::Network { address, prefix })
            } else {
                Err(wrong())
            };
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Allowed::Host { name: address.to_string(), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            // The last group of a bare IPv6 address would be taken for a port; such an address was read above.
            Some((host, port)) if !host.contains(':') || host.starts_with('[') => {
                (host, Some(port.parse().map_err(|_| wrong())?))
            }
            _ => (text, None),
        };
        let name = match Host::parse(host).map_err(|_| wrong())? {
            Host::Domain(name) => name.trim_end_matches('.').to_owned(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        if name.is_empty() || name.contains('*') {
            return Err(wrong());
        }
        Ok(Allowed::Host { name, port })
    }
}

impl<'de> Deserialize<'de> for Allowed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Allowed, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|error: Error| D::Error::custom(error.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_allowed_at_its_port_only() {
        let entry: Allowed = "IdP.internal:8443".parse().unwrap();
        assert!(entry.names("idp.internal", 8443));
        assert!(entry.names("idp.internal.", 8443));
        assert!(!entry.names("idp.internal", 443));
        assert!(!entry.names("an.idp.internal", 8443));
        let entry: Allowed = "[::1]:9000".parse().unwrap();
        assert!(entry.names("[::1]", 9000));
        assert!(!entry.names("[::1]", 9001));
        let entry: Allowed = "fd00::5".parse().unwrap();
        assert!(entry.names("[fd00::5]", 1));
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let entry: Allowed = "10.1.0.0/16".parse().unwrap();
        assert!(entry.holds("10.1.255.1".parse().unwrap()));
        assert!(entry.holds("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!entry.holds("10.2.0.1".parse().unwrap()));
        assert!(!entry.holds("fd00::1".parse().unwrap()));
        let all: Allowed = "0.0.0.0/0".parse().unwrap();
        assert!(all.holds("192.0.2.1".parse().unwrap()));
        let ula: Allowed = "fd00::/8".parse().unwrap();
        assert!(ula.holds("fd12::1".parse().unwrap()) && !ula.holds("fe80::1".parse().unwrap()));
    }

    #[test]
    fn nonsense_is_refused_with_examples() {
        for text in ["", "10.0.0.0/33", "*.internal", "idp.internal:port", "a b", "https://idp"] {
            let error = text.parse::<Allowed>().unwrap_err();
            assert!(error.message.contains("idp.internal:8443"), "{text}: {error}");
        }
    }
}
