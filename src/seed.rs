//! Seed files: pools, resource servers, identity providers, app clients and users with chosen ids, so that other people's configuration keeps working. What exists stays
//! as it is. The rules for pools, clients and users are those of the API; only the ids, `Issuer` and `Extensions` are a seed's own. Reading is
//! here, making in `apply`.

mod apply;
mod groups;
mod strict;

use cenote_interface::types::{
    CreateIdentityProviderRequest, CreateResourceServerRequest, CreateUserPoolClientRequest,
    CreateUserPoolRequest,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

pub use self::apply::apply;
use self::groups::GroupSeed;
use self::strict::Strict;
use crate::error::{Error, Result};
use crate::ids;
use crate::pool::client::ClientExtensions;
use crate::pool::provider::{Kind, details};
use crate::pool::realm::{Extensions, SessionRules};

/// A seed file, read and checked, with nothing done yet.
pub struct Seed {
    pub pools: Vec<PoolSeed>,
}

pub struct PoolSeed {
    pub id: String,
    /// Not in the file: the ready pool of `cenote dev` has tracking on from its first moment.
    pub sessions: SessionRules,
    at: String,
    request: CreateUserPoolRequest,
    domain: Option<String>,
    issuer: Option<String>,
    extensions: Extensions,
    resource_servers: Vec<ServerSeed>,
    providers: Vec<ProviderSeed>,
    clients: Vec<ClientSeed>,
    groups: Vec<GroupSeed>,
    users: Vec<UserSeed>,
}

struct ServerSeed {
    at: String,
    request: CreateResourceServerRequest,
}

struct ProviderSeed {
    at: String,
    request: CreateIdentityProviderRequest,
}

struct ClientSeed {
    at: String,
    id: String,
    request: CreateUserPoolClientRequest,
    extensions: ClientExtensions,
}

struct UserSeed {
    at: String,
    name: String,
    sub: Option<String>,
    password: Option<String>,
    attributes: Vec<(String, String)>,
    groups: Vec<String>,
}

// Reading

/// Reads a seed file. Messages say where in the file the mistake is.
pub fn parse(text: &str) -> Result<Seed> {
    let Strict(whole) = serde_json::from_str(text)
        .map_err(|error| Error::invalid(format!("It is not valid JSON: {error}.")))?;
    let mut file = Object::new("the file", whole)?;
    let pools = file.list("pools")?.ok_or_else(|| file.wrong("has no member \"pools\""))?;
    file.finish()?;
    Ok(Seed { pools: each("pools", pools, pool)? })
}

fn pool(mut pool: Object) -> Result<PoolSeed> {
    let id = pool.required("Id")?;
    if !ids::is_pool_id(&id) {
        return Err(
            pool.wrong(&format!("has the Id {id:?}, which is not of the form us-east-1_Ab3dEf9Gh"))
        );
    }
    pool.at = format!("{} ({id})", pool.at);
    let resource_servers = pool.list("ResourceServers")?.unwrap_or_default();
    let providers = pool.list("IdentityProviders")?.unwrap_or_default();
    let (clients, users) =
        (pool.list("Clients")?.unwrap_or_default(), pool.list("Users")?.unwrap_or_default());
    let groups = pool.list("Groups")?.unwrap_or_default();
    let (domain, issuer) = (pool.text("Domain")?, pool.text("Issuer")?);
    let extensions = pool.extensions()?;
    if let Some(issuer) = &issuer
        && (issuer.ends_with('/')
            || !Url::parse(issuer).is_ok_and(|url| matches!(url.scheme(), "https" | "http")))
    {
        return Err(pool.wrong(&format!(
            "has the Issuer {issuer:?}, which is not an http(s) URL without a slash at its end"
        )));
    }
    let at = pool.at.clone();
    Ok(PoolSeed {
        resource_servers: each(&format!("{at}.ResourceServers"), resource_servers, |object| {
            server(&id, object)
        })?,
        providers: each(&format!("{at}.IdentityProviders"), providers, |object| {
            provider(&id, object)
        })?,
        clients: each(&format!("{at}.Clients"), clients, |object| client(&id, object))?,
        groups: each(&format!("{at}.Groups"), groups, |object| groups::group(&id, object))?,
        users: each(&format!("{at}.Users"), users, |object| user(&id, object))?,
        request: pool.request("CreateUserPool")?,
        sessions: SessionRules::default(),
        id,
        at,
        domain,
        issuer,
        extensions,
    })
}

fn server(pool_id: &str, mut server: Object) -> Result<ServerSeed> {
    if let Some(identifier) = server.members.get("Identifier").and_then(Value::as_str) {
        server.at = format!("{} ({identifier})", server.at);
    }
    server.no_pool_id()?;
    server.members.insert("UserPoolId".to_owned(), json!(pool_id));
    Ok(ServerSeed { at: server.at.clone(), request: server.request("CreateResourceServer")? })
}

fn provider(pool_id: &str, mut provider: Object) -> Result<ProviderSeed> {
    if let Some(name) = provider.members.get("ProviderName").and_then(Value::as_str) {
        provider.at = format!("{} ({name})", provider.at);
    }
    provider.no_pool_id()?;
    provider.members.insert("UserPoolId".to_owned(), json!(pool_id));
    let at = provider.at.clone();
    let request: CreateIdentityProviderRequest = provider.request("CreateIdentityProvider")?;
    // Said before anything is made; the rest of the rules need the pool.
    if let Some(kind) = Kind::parse(&request.provider_type) {
        details::read(kind, &request.provider_details, None)
            .map_err(|error| located(&at, error))?;
    }
    Ok(ProviderSeed { at, request })
}

fn client(pool_id: &str, mut client: Object) -> Result<ClientSeed> {
    let id = client.required("ClientId")?;
    if id.is_empty()
        || id.len() > 128
        || !id.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'+'))
    {
        return Err(client
            .wrong(&format!("has the ClientId {id:?}, which is not 1 to 128 letters and digits")));
    }
    client.at = format!("{} ({id})", client.at);
    let extensions: ClientExtensions = client.extensions()?;
    extensions.check().map_err(|error| located(&format!("{}.Extensions", client.at), error))?;
    client.no_pool_id()?;
    client.members.insert("UserPoolId".to_owned(), json!(pool_id));
    Ok(ClientSeed {
        at: client.at.clone(),
        request: client.request("CreateUserPoolClient")?,
        id,
        extensions,
    })
}

fn user(pool_id: &str, mut user: Object) -> Result<UserSeed> {
    let name = user.required("Username")?;
    user.at = format!("{} ({name})", user.at);
    let (sub, password) = (user.text("Sub")?, user.text("Password")?);
    if let Some(sub) = &sub
        && !Uuid::try_parse(sub).is_ok_and(|uuid| uuid.to_string() == *sub)
    {
        return Err(user.wrong(&format!("has the Sub {sub:?}, which is not a UUID in lower case")));
    }
    let groups = groups::names(pool_id, &name, &mut user)?;
    user.no_pool_id()?;
    let attributes = attributes(&mut user)?;
    let at = user.at.clone();
    // The limits of the API on names and values, in its words.
    let list: Vec<Value> =
        attributes.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
    user.members
        .extend(object(json!({ "UserPoolId": pool_id, "Username": name, "UserAttributes": list })));
    user.check("AdminCreateUser")?;
    if let Some(password) = &password {
        let members =
            object(json!({ "UserPoolId": pool_id, "Username": name, "Password": password }));
        Object { at: at.clone(), members }.check("AdminSetUserPassword")?;
    }
    for member in ["UserPoolId", "Username", "UserAttributes"] {
        user.members.remove(member);
    }
    user.finish()?;
    Ok(UserSeed { at, name, sub, password, attributes, groups })
}

/// A list of `{"Name", "Value"}` as in the API, or an object.
fn attributes(user: &mut Object) -> Result<Vec<(String, String)>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let pair = |item: &Value| {
        let members = item.as_object().filter(|members| members.len() == 2)?;
        Some((text(members.get("Name")?)?, text(members.get("Value")?)?))
    };
    let pairs: Option<Vec<_>> = match user.members.shift_remove("UserAttributes") {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(pair).collect(),
        Some(Value::Object(map)) => {
            map.iter().map(|(name, value)| Some((name.clone(), text(value)?))).collect()
        }
        Some(_) => None,
    };
    pairs.ok_or_else(|| user.wrong("has UserAttributes that are neither a list of {\"Name\", \"Value\"} nor an object, with texts as values"))
}

/// One object of the file, and where it is. Members are taken out; what remains must be known to an operation, or be nothing.
struct Object {
    at: String,
    members: Map<String, Value>,
}

impl Object {
    fn new(at: &str, value: Value) -> Result<Object> {
        match value {
            Value::Object(members) => Ok(Object { at: at.to_owned(), members }),
            _ => Err(Error::invalid(format!("{at} is not an object."))),
        }
    }

    fn wrong(&self, what: &str) -> Error {
        Error::invalid(format!("{} {what}.", self.at))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>> {
        match self.members.shift_remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(&format!("has a member {name:?} that is not a text"))),
        }
    }

    fn required(&mut self, name: &str) -> Result<String> {
        self.text(name)?.ok_or_else(|| self.wrong(&format!("has no member {name:?}")))
    }

    fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>> {
        match self.members.shift_remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(_) => Err(self.wrong(&format!("has a member {name:?} that is not a list"))),
        }
    }

    fn extensions<T: DeserializeOwned + Default>(&mut self) -> Result<T> {
        match self.members.shift_remove("Extensions") {
            None | Some(Value::Null) => Ok(T::default()),
            Some(value) => serde_json::from_value(value)
                .map_err(|error| Error::invalid(format!("{}.Extensions: {error}.", self.at))),
        }
    }

    /// It would say again, or otherwise, where the entry stands.
    fn no_pool_id(&self) -> Result<()> {
        match self.members.contains_key("UserPoolId") {
            false => Ok(()),
            true => Err(self.wrong("has a UserPoolId, but belongs to the pool that it stands in")),
        }
    }

    fn finish(&self) -> Result<()> {
        match self.members.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.wrong(&format!("has an unknown member {name:?}"))),
        }
    }

    /// Holds the members against an operation's input, in the words of the API.
    fn check(&self, operation: &str) -> Result<()> {
        let checked = cenote_interface::check(
            find_operation(operation)?,
            &Value::Object(self.members.clone()),
        );
        checked.map_err(|refusal| match refusal {
            cenote_interface::Refusal::Serialization(message)
            | cenote_interface::Refusal::Validation(message) => {
                Error::invalid(format!("{}: {message}", self.at))
            }
        })
    }

    /// The members as the request of an operation. The API ignores members that it does not know; here they are mistakes.
    fn request<T: DeserializeOwned>(self, operation: &str) -> Result<T> {
        let known = find_operation(operation)?;
        self.check(operation)?;
        let given = Value::Object(self.members);
        if let Some(path) = cenote_interface::unknown_member(known, &given) {
            return Err(Error::invalid(format!("{} has an unknown member {path:?}.", self.at)));
        }
        serde_json::from_value(given)
            .map_err(|error| Error::invalid(format!("{}: {error}.", self.at)))
    }
}

fn find_operation(name: &str) -> Result<&'static cenote_interface::Operation> {
    cenote_interface::operation(name).ok_or_else(|| Error::internal("an operation is missing"))
}

fn each<T>(at: &str, list: Vec<Value>, read: impl Fn(Object) -> Result<T>) -> Result<Vec<T>> {
    list.into_iter()
        .enumerate()
        .map(|(n, value)| read(Object::new(&format!("{at}[{n}]"), value)?))
        .collect()
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(members) = value { members } else { Map::new() }
}

/// Says where in the file.
fn located(at: &str, mut error: Error) -> Error {
    error.message = format!("{at}: {}", error.message).into();
    error
}
