//! OpenID Connect Front-Channel Logout 1.0: a browser that signs out at `/logout` loads an address of each app client that took part in
//! its session and names one, in frames that nobody sees, and goes on. Where browsers block the cookies of third parties nothing comes
//! of it; who wants to be told for sure names a BackchannelLogoutUri.

use std::collections::BTreeSet;

use axum::http::header;
use axum::response::Response;
use minijinja::context;

use super::pages::{self, Allow, Frames};
use super::{logout_hop, texts};
use crate::ambient::Ms;
use crate::error::Result;
use crate::http;
use crate::pool::SsoSession;
use crate::site::{Visit, with_query};
use crate::store::participations::{self, Whose};
use crate::tokens::claims;

/// Nobody is in that many apps at once by hand, and each is a request of the browser.
const AT_MOST: i64 = 100;

/// Goes on when all frames are loaded, at the latest after two seconds.
const GO_ON: &str = "(function(){var d=document,p=d.getElementById('parties'),a=p.querySelectorAll('a'),n=a.length,gone=0;\
    function on(){if(gone)return;gone=1;location.replace(p.dataset.next)}\
    setTimeout(on,2000);\
    for(var i=0;i<a.length;i++){var f=d.createElement('iframe');f.hidden=true;f.setAttribute('sandbox','allow-scripts allow-same-origin allow-forms');\
    f.referrerPolicy='no-referrer';f.addEventListener('load',function(){if(!--n)on()});f.src=a[i].href;p.appendChild(f)}})()";

/// What the browser is to load, before its session ends; nothing where no page is shown.
pub async fn addresses(visit: &Visit, session: &SsoSession) -> Result<Vec<String>> {
    if !logout_hop::is_window(visit) {
        return Ok(Vec::new());
    }
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let whose = Whose::Browser(&session.id);
    let parties = participations::living(cx.db(), &pool.id, whose, Ms::MAX, "", AT_MOST).await?;
    let issuer = claims::issuer(&cx.app.settings, pool);
    let mut addresses = BTreeSet::new();
    for party in parties {
        let found = cx.app.directory.client(cx.db(), &party.client_id).await?;
        let client = found.filter(|(of, _)| of.id == pool.id).map(|(_, client)| client);
        let uri = client
            .as_ref()
            .and_then(|client| client.doc.extensions.frontchannel_logout_uri.as_deref());
        if let Some(uri) = uri {
            addresses.insert(with_query(uri, &[("iss", &issuer), ("sid", &party.sid)]));
        }
    }
    Ok(addresses.into_iter().collect())
}

/// The page that loads them, before the browser goes where this redirect leads. A page that shows them itself stays as it is.
pub async fn before(visit: &Visit, addresses: &[String], redirect: Response) -> Response {
    let next = redirect.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
    let Some(next) = next.filter(|_| !addresses.is_empty()) else { return redirect };
    let frames = Frames { addresses: addresses.to_vec(), next: Some(next.to_owned()) };
    match page(visit, frames, next).await {
        Ok(page) if page.status().is_success() => page,
        Ok(_) => redirect,
        Err(error) => {
            tracing::error!(request_id = %visit.cx.request.id, ?error, "a browser was not asked to tell app clients of its sign-out");
            redirect
        }
    }
}

async fn page(visit: &Visit, frames: Frames, next: &str) -> Result<Response> {
    let texts = &texts::of(visit);
    let say = |key| texts.say(key, &[]);
    let values = context! {
        title => say("signed_out_title"),
        text => say("hop_lead"),
        link => next,
        label => say("button_continue"),
    };
    let allow = Allow { script: Some(GO_ON), frames, ..Allow::default() };
    let mut page = pages::page(visit, "message.html", values, &allow).await?;
    // Where no script runs.
    http::insert(page.headers_mut(), header::REFRESH, &format!("2;url={next}"));
    Ok(page)
}
