//! Flags and environment. A secret comes from a file or the environment, not from the command line, which everybody can read.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cenote_verifier::{Builder, Credentials, Policy, TokenUse, Verifier};
use clap::{Parser, ValueEnum};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Accept {
    Access,
    Id,
    Both,
}

/// Tells a proxy whether a token of a Cenote pool is alive.
#[derive(Debug, Parser)]
#[command(name = "cenote-gate", version)]
pub struct Config {
    /// The pool's issuer, as its tokens say it.
    #[arg(long, env = "CENOTE_GATE_ISSUER")]
    pub issuer: String,
    /// The pool's id, if it is not the last part of the issuer.
    #[arg(long, env = "CENOTE_GATE_POOL")]
    pub pool: Option<String>,
    /// Another issuer of the same pool, whose tokens still live after a change of address. May be repeated.
    #[arg(long, env = "CENOTE_GATE_ALSO_ISSUER", value_delimiter = ',')]
    pub also_issuer: Vec<String>,
    /// The name of this process in the receipts of sign-outs: its own for each process.
    #[arg(long, env = "CENOTE_GATE_CONSUMER")]
    pub consumer: String,
    /// An app client with the grant client_credentials and the scope revocations/read.
    #[arg(long, env = "CENOTE_GATE_CLIENT_ID")]
    pub client_id: Option<String>,
    /// A file with the secret of that client; or the secret in CENOTE_GATE_CLIENT_SECRET.
    #[arg(long, env = "CENOTE_GATE_CLIENT_SECRET_FILE")]
    pub client_secret_file: Option<PathBuf>,
    /// A client certificate (PEM) instead of an app client, with its key.
    #[arg(long, env = "CENOTE_GATE_CERTIFICATE", requires = "certificate_key")]
    pub certificate: Option<PathBuf>,
    #[arg(long, env = "CENOTE_GATE_CERTIFICATE_KEY")]
    pub certificate_key: Option<PathBuf>,
    /// Root certificates (PEM) for the server, beside those of the web.
    #[arg(long, env = "CENOTE_GATE_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// Where proxies ask. May be repeated.
    #[arg(
        long,
        env = "CENOTE_GATE_LISTEN",
        value_delimiter = ',',
        default_value = "127.0.0.1:9233"
    )]
    pub listen: Vec<SocketAddr>,
    /// A unix socket on which proxies of the same machine ask.
    #[arg(long, env = "CENOTE_GATE_SOCKET")]
    pub socket: Option<PathBuf>,
    /// Where Envoy asks by gRPC (ext_authz). May be repeated.
    #[arg(long, env = "CENOTE_GATE_GRPC_LISTEN", value_delimiter = ',')]
    pub grpc_listen: Vec<SocketAddr>,
    /// A unix socket on which an Envoy of the same machine asks by gRPC.
    #[arg(long, env = "CENOTE_GATE_GRPC_SOCKET")]
    pub grpc_socket: Option<PathBuf>,
    /// While the feed is too old to tell: introspect, introspect-else-open, closed or open. A question may ask for a stricter one by ?policy=, Envoy's for any by the context extension policy.
    #[arg(long, env = "CENOTE_GATE_POLICY", default_value = "introspect")]
    pub policy: Policy,
    /// How old the state of the feed may be, in seconds.
    #[arg(long, env = "CENOTE_GATE_MAX_STALENESS", default_value_t = 30)]
    pub max_staleness: u64,
    /// Which tokens open the gate.
    #[arg(long, env = "CENOTE_GATE_ACCEPT", default_value = "access")]
    pub accept: Accept,
    /// Accepts only tokens of this app client. May be repeated.
    #[arg(long, env = "CENOTE_GATE_ONLY_CLIENT", value_delimiter = ',')]
    pub only_client: Vec<String>,
    /// A file in which what is known survives a restart.
    #[arg(long, env = "CENOTE_GATE_STATE_FILE")]
    pub state_file: Option<PathBuf>,
}

impl Config {
    pub fn builder(&self) -> Result<Builder, String> {
        let mut builder = Verifier::builder(&self.issuer, &self.consumer)
            .credentials(self.credentials()?)
            .policy(self.policy)
            .max_staleness(Duration::from_secs(self.max_staleness));
        builder = match self.accept {
            Accept::Access => builder.accept(TokenUse::Access),
            Accept::Id => builder.accept(TokenUse::Id),
            Accept::Both => builder.accept_both(),
        };
        if let Some(pool) = &self.pool {
            builder = builder.pool(pool);
        }
        if let Some(path) = &self.ca_file {
            builder = builder.ca(read(path)?);
        }
        if let Some(path) = &self.state_file {
            builder = builder.disk(path);
        }
        builder =
            self.also_issuer.iter().fold(builder, |builder, issuer| builder.also_accept(issuer));
        Ok(self.only_client.iter().fold(builder, |builder, client| builder.only_client(client)))
    }

    fn credentials(&self) -> Result<Credentials, String> {
        if let (Some(chain), Some(key)) = (&self.certificate, &self.certificate_key) {
            return Ok(Credentials::Certificate { chain: read(chain)?, key: read(key)? });
        }
        let Some(id) = self.client_id.clone() else {
            return Err("name an app client (--client-id) or a certificate (--certificate): the feed is not open to everybody".into());
        };
        let secret = match &self.client_secret_file {
            Some(path) => String::from_utf8(read(path)?)
                .map_err(|_| format!("{} is no text", path.display()))?,
            None => std::env::var("CENOTE_GATE_CLIENT_SECRET").map_err(|_| {
                "the client has no secret: --client-secret-file or CENOTE_GATE_CLIENT_SECRET"
                    .to_owned()
            })?,
        };
        Ok(Credentials::Client { id, secret: secret.trim().to_owned() })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}
