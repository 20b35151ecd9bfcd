//! The pool that every `cenote dev` has: made by a seed of its own with fixed ids, so that what a developer configures survives
//! restarts, fresh databases and other machines. And how scripts (the ready file) and people (the greeting) learn of it.

use std::path::Path;

use serde_json::{Value, json};

use super::demo_idp;
use crate::admin::clients;
use crate::auth::secret_hash;
use crate::config::Settings;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::files;
use crate::pool::realm::SessionRules;
use crate::seed::{self, Seed};

const SEED: &str = include_str!("ready.json");
const CLIENT: &str = "/pools/0/Clients/0/ClientId";
const CONFIDENTIAL: &str = "/pools/0/Clients/1/ClientId";
const MAX_PER_USER: i64 = 100;

/// Makes what is missing of the ready pool.
pub async fn prepare(cx: &Cx) -> Result<()> {
    let Seed { mut pools } = seed::parse(SEED)?;
    for pool in &mut pools {
        pool.sessions =
            SessionRules { tracking: true, max_per_user: MAX_PER_USER, ..SessionRules::default() };
    }
    seed::apply(cx, &Seed { pools }).await?;
    // Its address has the port in it, which no seed knows; and the pool may be older than the sample app.
    if let Err(error) = cx.retrying(admit_sample).await {
        tracing::warn!(error = &*error.message, "nobody can sign in at the sample app");
    }
    Ok(())
}

async fn admit_sample(cx: Cx) -> Result<()> {
    let Some((_, client)) = cx.app.directory.client(cx.db(), &seeded(CLIENT)?).await? else {
        return Ok(());
    };
    clients::allow_address(&cx, &client, &sample_url(&cx)).await
}

fn sample_url(cx: &Cx) -> String {
    format!("{}/sample", cx.app.settings.public_url)
}

/// What the seed says at a place.
fn seeded(pointer: &str) -> Result<String> {
    let seed: Value = serde_json::from_str(SEED).map_err(Error::internal)?;
    Ok(seed.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// The demonstration provider on the ready pool's sign-in page, or not.
pub async fn offer_idp(cx: &Cx, offered: bool) -> Result<()> {
    let clients = [seeded(CLIENT)?, seeded(CONFIDENTIAL)?];
    match offered {
        true => demo_idp::offer(cx, &seeded("/pools/0/Id")?, &clients).await,
        false => demo_idp::withdraw(cx, &clients).await,
    }
}

/// What the ready file says. A contract: scripts depend on it.
pub async fn describe(cx: &Cx, ca_file: &Path, with_idp: bool) -> Result<Value> {
    let Settings { public_url, pages_url, region, .. } = &cx.app.settings;
    let pool_id = seeded("/pools/0/Id")?;
    let confidential = seeded(CONFIDENTIAL)?;
    // From the database: it may have been replaced since.
    let secret = match cx.app.directory.client(cx.db(), &confidential).await? {
        Some((_, client)) => {
            secret_hash::secrets(cx, &client)?.first().map(|secret| secret.as_str().to_owned())
        }
        None => None,
    };
    let mut ready = json!({
        "endpoint": public_url,
        "tls_endpoint": pages_url,
        "ca_file": ca_file,
        "region": region,
        "user_pool_id": pool_id,
        "issuer": format!("{public_url}/{pool_id}"),
        "domain_url": format!("{pages_url}/{pool_id}"),
        "client_id": seeded(CLIENT)?,
        "confidential_client_id": confidential,
        "confidential_client_secret": secret.unwrap_or_default(),
        "username": seeded("/pools/0/Users/0/Username")?,
        "password": seeded("/pools/0/Users/0/Password")?,
        "sample_url": sample_url(cx),
    });
    if with_idp && let Some(members) = ready.as_object_mut() {
        members.insert("idp_url".to_owned(), demo_idp::url(cx).into());
    }
    Ok(ready)
}

/// Whole or not at all, and for its owner only: it holds a password and a secret.
pub fn write(file: &Path, ready: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(ready).map_err(Error::internal)? + "\n";
    files::write_private(file, text.as_bytes()).map_err(|error| {
        Error::invalid(format!("The ready file {} cannot be written: {error}.", file.display()))
    })
}

/// What to open and what to try.
pub fn greeting(ready: &Value) -> String {
    let get = |name: &str| ready.get(name).and_then(Value::as_str).unwrap_or_default();
    let (endpoint, region, client) = (get("endpoint"), get("region"), get("client_id"));
    let (username, password, pages) = (get("username"), get("password"), get("domain_url"));
    let idp = match get("idp_url") {
        "" => String::new(),
        url => format!(
            "
The sample app also signs in through DemoOIDC and DemoSAML, a demonstration provider where anybody can be anybody. Sign out in the
sample app: the provider's session ends, too. Sign out at the provider: the sample app notices. The provider's own page:
  {url}
"
        ),
    };
    format!(
        "
Cenote is ready. Any AWS credentials are accepted; nothing leaves this machine.

Open this first, sign in, and watch what a sign-out does:
  {sample}
{idp}
  endpoint       {endpoint}   (TLS: {tls})
  pool           {pool}   issuer {issuer}
  app client     {client}   (with a secret: {confidential})
  user           {username}   password {password}
  authority      {ca}   (trust it, or accept the browser's warning)

The sign-in page for an application of yours:
  {pages}/login?client_id={client}&response_type=code&scope=openid+email&redirect_uri=http://localhost:3000/callback

With the AWS CLI:
  aws cognito-idp initiate-auth --endpoint-url {endpoint} --region {region} --no-sign-request \\
    --auth-flow USER_PASSWORD_AUTH --client-id {client} \\
    --auth-parameters USERNAME={username},PASSWORD={password}

With boto3:
  idp = boto3.client(\"cognito-idp\", endpoint_url=\"{endpoint}\", region_name=\"{region}\",
                     aws_access_key_id=\"any\", aws_secret_access_key=\"any\")
  idp.admin_get_user(UserPoolId=\"{pool}\", Username=\"{username}\")

Mail and text messages wait at {endpoint}/dev/outbox

",
        sample = get("sample_url"),
        tls = get("tls_endpoint"),
        pool = get("user_pool_id"),
        issuer = get("issuer"),
        confidential = get("confidential_client_id"),
        ca = get("ca_file"),
    )
}
