//! A browser without JavaScript: it keeps the cookies of one site, posts the forms it is shown, and follows nothing by itself.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Method, Request};
use url::form_urlencoded;

use crate::house::{Answer, House};

pub const CALLBACK: &str = "https://app.example.com/callback";
pub const BYE: &str = "https://app.example.com/bye";
/// A PKCE verifier and its challenge (RFC 7636, appendix B).
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// The settings of an app client that signs in at the hosted pages.
pub fn code_client() -> serde_json::Value {
    serde_json::json!({
        "CallbackURLs": [CALLBACK, "https://app.example.com/other"], "LogoutURLs": [BYE],
        "AllowedOAuthFlows": ["code"], "AllowedOAuthFlowsUserPoolClient": true,
        "AllowedOAuthScopes": ["openid", "email", "profile", "aws.cognito.signin.user.admin"],
        "SupportedIdentityProviders": ["COGNITO"],
    })
}

pub struct Browser<'a> {
    house: &'a House,
    pool: String,
    client: String,
    pub cookies: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    pub fn new(house: &'a House, pool: &str, client: &str) -> Browser<'a> {
        Browser {
            house,
            pool: pool.to_owned(),
            client: client.to_owned(),
            cookies: BTreeMap::new(),
        }
    }

    pub fn query(&self, more: &str) -> String {
        let encoded: String = form_urlencoded::byte_serialize(CALLBACK.as_bytes()).collect();
        format!("client_id={}&response_type=code&redirect_uri={encoded}{more}", self.client)
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, None, &[]).await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(Method::POST, path, Some(body), &[]).await
    }

    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        form: Option<String>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/{}{path}", self.pool))
            .header("host", "localhost:9230");
        if !self.cookies.is_empty() {
            let line: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", line.join("; "));
        }
        if form.is_some() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer =
            self.house.send(request.body(Body::from(form.unwrap_or_default())).unwrap()).await;
        for line in answer.headers.get_all("set-cookie") {
            let (pair, attributes) = line.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// The page that authorize leads to.
    pub async fn opens(&mut self, more: &str) -> Answer {
        let path = format!("/login?{}", self.query(more));
        self.get(&path).await
    }

    /// Fills in the form and posts it.
    pub async fn signs_in(&mut self, name: &str, password: &str, more: &str) -> Answer {
        let page = self.opens(more).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let csrf = field(&page.body, "_csrf");
        let path = format!("/login?{}", self.query(more));
        self.post(&path, &[("_csrf", &csrf), ("username", name), ("password", password)]).await
    }

    /// Opens a page of the pool with the authorize query.
    pub async fn visits(&mut self, page: &str, more: &str) -> Answer {
        let path = format!("{page}?{}", self.query(more));
        self.get(&path).await
    }

    /// Fills in the form of a page that lies at `path`, and posts it there.
    pub async fn fills(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let page = self.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        let csrf = field(&page.body, "_csrf");
        let mut form = vec![("_csrf", csrf.as_str())];
        form.extend(fields);
        self.post(path, &form).await
    }

    /// Presses *Sign in as NAME*.
    pub async fn goes_on(&mut self, more: &str) -> Answer {
        let page = self.opens(more).await;
        let csrf = field(&page.body, "_csrf");
        let path = format!("/login?{}", self.query(more));
        self.post(&path, &[("_csrf", &csrf), ("continue", "1")]).await
    }

    /// The code of a redirect to the callback, exchanged: the token endpoint's answer.
    pub async fn redeems(&mut self, code: &str) -> Answer {
        let client = self.client.clone();
        self.token(&[
            ("grant_type", "authorization_code"),
            ("client_id", &client),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ])
        .await
    }

    pub async fn token(&mut self, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let cookies = std::mem::take(&mut self.cookies);
        let answer = self.send(Method::POST, "/oauth2/token", Some(body), &[]).await;
        self.cookies = cookies;
        answer
    }

    /// Signs in with PKCE and redeems the code: the tokens.
    pub async fn gets_tokens(&mut self, name: &str, password: &str) -> serde_json::Value {
        let more = format!(
            "&code_challenge={CHALLENGE}&code_challenge_method=S256&scope=openid+email+aws.cognito.signin.user.admin"
        );
        let answer = self.signs_in(name, password, &more).await;
        let code = parameter(answer.header("location"), "code")
            .unwrap_or_else(|| panic!("no code: {} {}", answer.status, answer.body));
        let answer = self.redeems(&code).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }
}

/// A link or a form of a page, as a browser would read it: the path and query that this attribute holds.
pub fn target(page: &str, attribute: &str, path: &str) -> String {
    page.split(&format!("{attribute}=\""))
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&"))
        .map(|address| if address.starts_with("http") { local(&address) } else { address })
        .find(|address| address.starts_with(path))
        .unwrap_or_else(|| panic!("no {attribute} to {path} in {page}"))
}

/// The path and query, within the pool, of an address of one of its pages.
pub fn local(address: &str) -> String {
    let after = address.split_once("://").unwrap_or_else(|| panic!("no address: {address:?}")).1;
    let page = after.split_once('/').unwrap().1;
    format!("/{}", page.split_once('/').unwrap().1)
}

/// The value of a hidden field of a page.
pub fn field(page: &str, name: &str) -> String {
    let start = page
        .split_once(&format!("name=\"{name}\" value=\""))
        .unwrap_or_else(|| panic!("no field {name} in {page}"))
        .1;
    start.split('"').next().unwrap().to_owned()
}

/// A parameter of the query of an address.
pub fn parameter(uri: &str, name: &str) -> Option<String> {
    let query = uri.split_once('?')?.1;
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
