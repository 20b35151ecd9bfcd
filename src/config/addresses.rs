//! The settings that are addresses: which are safe. Those that may hold a password are never repeated in a message.

use std::net::IpAddr;
use std::path::Path;

use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use tokio_postgres::config::{Host, SslMode};
use url::Url;

use super::{Hidden, refuse};
use crate::error::{Error, Result};

/// The origin, as every issuer begins.
pub fn public_url(given: &str, plain: bool) -> Result<String> {
    if given.contains('@') {
        return refuse(
            "public_url holds a user name or password, which every client would learn. Write scheme and host only, as in \
             https://id.example.com.",
        );
    }
    let wrong = |why: &str| Error::invalid(format!("public_url = {given:?} {why}"));
    let url = Url::parse(given)
        .map_err(|_| wrong("is not a URL. Write scheme and host, as in https://id.example.com."))?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || !matches!(url.scheme(), "https" | "http") {
        return Err(wrong("must be scheme and host only, as in https://id.example.com."));
    }
    if url.scheme() == "http" && !is_loopback(&url) && !plain {
        return Err(wrong(
            "is not https: passwords, cookies and tokens could be read on the way, and Amplify refuses such sign-in pages. Use https, by tls_cert \
             and tls_key or by a proxy in front. (allow_plain_http permits it for a network that nobody else is in.)",
        ));
    }
    Ok(url.origin().ascii_serialization())
}

/// What can be seen without opening it: a mistake must not make an empty database somewhere, nor show passwords to a network.
pub fn database_url(given: Hidden, ca_file: Option<&Path>, plain: bool) -> Result<Hidden> {
    if given.0.starts_with("sqlite:") {
        if !given.0.starts_with("sqlite:///") {
            return refuse(
                "database_url is relative to wherever the server is started. Write an absolute path, as in sqlite:///var/lib/cenote/cenote.db.",
            );
        }
        return Ok(given);
    }
    // What is not a database URL at all is told where it is opened.
    let Ok(config) = given.0.parse::<tokio_postgres::Config>() else { return Ok(given) };
    let says = given
        .0
        .rsplit_once('?')
        .is_some_and(|(_, query)| query.split('&').any(|pair| pair.starts_with("sslmode=")));
    let encrypted = ca_file.is_some() && config.get_ssl_mode() != SslMode::Disable;
    let remote = config.get_hosts().iter().any(is_remote)
        || config.get_hostaddrs().iter().any(|ip| !ip.is_loopback());
    if remote && !says && !encrypted && !plain {
        return refuse(
            "database_url would reach PostgreSQL on another machine without TLS. Add ?sslmode=require, with database_ca_file if a CA of your own \
             vouches for its certificate; ?sslmode=disable says that the network is safe.",
        );
    }
    Ok(given)
}

fn is_remote(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name != "localhost" && !name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        Host::Unix(_) => false,
    }
}

pub fn smtp_url(given: String, plain: bool) -> Result<String> {
    let Ok(url) = Url::parse(&given) else {
        return refuse("smtp_url is not a URL, as in smtps://user:password@mail.example.com:465.");
    };
    // Of several the transport reads the first.
    let mode = url.query_pairs().find(|(name, _)| name == "tls");
    let tls = url.scheme() == "smtps" || mode.is_some_and(|(_, value)| value == "required");
    match url.scheme() {
        "smtp" | "smtps" if tls || plain || is_loopback(&url) => {}
        "smtp" | "smtps" => {
            return refuse(
                "smtp_url would send mail, and its password, in the clear. Write smtps://, or add ?tls=required for STARTTLS.",
            );
        }
        _ => return refuse("smtp_url must start with smtps:// or smtp://."),
    }
    match AsyncSmtpTransport::<Tokio1Executor>::from_url(&given) {
        Ok(_) => Ok(given),
        Err(_) => refuse(
            "smtp_url cannot be used. Write smtps://user:password@host:465 or smtp://user:password@host:587?tls=required, with special characters \
             of the password percent-encoded.",
        ),
    }
}

pub fn mail_from(given: String) -> Result<String> {
    if given.parse::<Mailbox>().is_ok() {
        return Ok(given);
    }
    refuse(format!(
        "mail_from = {given:?} is not a sender, as in \"Example <no-reply@example.com>\"."
    ))
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str().map(|host| host.trim_matches(['[', ']'])) {
        Some(host) => {
            host == "localhost"
                || host.ends_with(".localhost")
                || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        None => false,
    }
}
